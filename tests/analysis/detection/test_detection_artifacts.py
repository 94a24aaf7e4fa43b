"""Figures and the table of detectors, on a small one with random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.commands.run import _suited
from analysis.detection.attention import Attention
from analysis.detection.detections import Detections
from analysis.detection.safe_width import DetectorSafeWidth
from analysis.detection.source import of_detector
from analysis.papers.liu2021 import table2_detection
from analysis.papers.liu2021.table1_accuracy import Classification
from analysis.papers.liu2021.table2_detection import Detection
from analysis.papers.published import published
from ptqsim import ptq
from ptqsim.cli.framework.output import Output
from ptqsim.ptq.datasets.detection.coco import mean_average_precision


def test_shares_of_attention_are_those_of_the_values(workload, tiny_detector):
    data = Attention(bins=2).compute(workload)
    images = of_detector(workload).calibration_images
    with torch.no_grad():
        seen = tiny_detector.detr(images, output_attentions=True)
    found = {"encoder": seen.encoder_attentions, "decoder": seen.decoder_attentions, "cross": seen.cross_attentions}
    for kind, values in found.items():
        values = torch.cat([layer.flatten() for layer in values]).double().numpy()
        (row,) = data["kinds"].where(kind=kind).records()
        assert row["values"] == values.size
        assert row["largest"] == pytest.approx(values.max(), rel=1e-5)
        bins = data["distribution"].where(kind=kind)
        assert sum(bins.column("share")) == pytest.approx(1.0)
        assert sum(bins.column("mass")) == pytest.approx(1.0)
        for one in bins.records()[1:]:
            inside = (values >= one["left"]) & (values < one["right"])
            assert one["share"] == pytest.approx(inside.mean(), abs=2e-3)
            assert one["mass"] == pytest.approx(values[inside].sum() / values.sum(), abs=2e-3)


def test_every_object_is_found_once_or_missed(workload):
    made = Detections(widths=(6,), images=(4, 9), score=0.0)
    data = made.compute(workload)
    assert data["networks"].column("network") == ["FP32", "W6A6"]
    for network in ("FP32", "W6A6"):
        for image in (4, 9):
            objects = len(data["objects"].where(image=image))
            found = data["detections"].where(network=network, image=image).records()
            assert len(found) == 6  # all queries
            assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
            assert (
                sum(one["right"] for one in found) + len(data["missed"].where(network=network, image=image)) == objects
            )
    scenes = of_detector(workload).validation.read([9])[0]
    lines = data["pixels"].where(image=9, channel=2).column("hex")
    pixels = np.array([list(bytes.fromhex(line)) for line in lines])
    assert np.array_equal(pixels, ((scenes[0, 2] + 1) * 127.5).round().numpy())


def test_a_detection_is_right_if_it_lies_on_an_object_of_its_class():
    target = {"image": 3, "label": 1, "left": 10.0, "top": 10.0, "width": 20.0, "height": 20.0}
    logits = torch.full((3, 5), -9.0)
    logits[0, 1], logits[1, 1], logits[2, 2] = 9.0, 5.0, 7.0  # right; the same again; another class
    boxes = torch.tensor([[0.21, 0.2, 0.2, 0.2], [0.2, 0.2, 0.2, 0.2], [0.2, 0.2, 0.2, 0.2]])
    free = [target]
    found = Detections()._found("x", {"id": 3, "width": 100, "height": 100}, torch.cat([logits, boxes], 1), free)
    assert [(one["label"], one["right"]) for one in found] == [(1, True), (2, False), (1, False)]
    assert not free


def test_names_are_shortened():
    label = DetectorSafeWidth().label
    assert label("detr.model.backbone.model.encoder.stages.0.layers.1.layer.0.convolution") == "backbone.stages.0.1.0"
    assert label("detr.model.backbone.model.encoder.stages.0.layers.0.layer.0.convolution") == "backbone.stages.0.0.0"
    assert label("detr.model.backbone.model.embedder.embedder.convolution") == "backbone.embedder"
    assert label("detr.model.decoder.layers.2.encoder_attn.matmul_pv") == "decoder.2.encoder_attn.matmul_pv"
    assert label("detr.model.backbone.model.layer1.0.conv2") == "backbone.layer1.0.conv2"


def test_the_table_stands_beside_the_papers(workload, monkeypatch):
    monkeypatch.setattr(table2_detection, "_METHODS", {"Percentile": "percentile"})
    made = Detection(images=5, widths=(6,))
    data = made.compute(workload)
    cells = data["cells"]
    source = of_detector(workload)
    found = ptq.measure(source.network, source.validation, limit=5)
    expected = mean_average_precision(found.logits, source.validation.ground_truth(range(5)))
    ours = cells.where(Model="detr_digits", Method="Baseline", column="mAP")
    assert ours.column("ours") == [expected["mAP"]]
    assert ours.column("paper") == [None]
    weights = sum(op.constant_b.numel() for op in source.operations.values() if op.constant_b is not None)
    size = cells.where(Model="detr_digits", Method="Percentile", column="Size").column("ours")
    assert size == [pytest.approx(weights * 6 / 8e6)]
    assert cells.where(Model="DETR", Method="Liu (MP)", Bits="8", column="mAP").column("paper") == [41.7]
    assert len(cells.where(Model="DETR")) == 2 * len(published("liu2021.table2").rows)
    text = made.printed(data).markdown()
    assert "digits/validation (detection)" in text
    assert "| 41.7" in text


def test_artifacts_are_made_of_networks_of_their_kind(workload):
    output = Output(as_json=True)
    both = [Detection(), Classification()]
    assert _suited(both, ["detr_digits"], output) == both[:1]
    assert _suited(both, ["vit_digits", "deit_small"], output) == both[1:]
    assert _suited(both, [], output) == both
    with pytest.raises(ValueError, match=r"liu2021\.table1 is made from a classifier, and detr_digits is none"):
        _suited(both[1:], ["detr_digits"], output)
    assert of_detector(workload).model == "detr_digits"
