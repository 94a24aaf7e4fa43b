"""The demo's tables against the same questions asked directly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ptqsim as pq
from analysis.demo.accuracy import Accuracy
from analysis.demo.width_curve import WidthCurve
from analysis.framework.workload import Setting
from analysis.simulator.safe_width import SafeWidth
from ptqsim import ptq

SETTING = Setting("ptq4vit", 5, 5)


@pytest.fixture
def quantized(workload):
    return workload.quantized(SETTING)


def logits(quantized, workload, count, mode):
    quantized.mode = mode
    images, labels = workload.validation.read(range(count))
    return quantized(images).double().numpy(), labels.numpy()


def test_accuracy(workload, quantized):
    data = Accuracy(methods=("ptq4vit",), widths=(5,), images=12).compute(workload)["accuracy"]
    found = {mode: logits(quantized, workload, 12, mode) for mode in ("fake_quant", "integer")}
    for mode, (values, labels) in found.items():
        (row,) = data.where(method="ptq4vit", mode=mode).records()
        assert row["images"] == 12
        assert row["top1"] == pytest.approx(100 * np.mean(values.argmax(1) == labels))
        shifted = values - values.max(1, keepdims=True)
        picked = shifted[np.arange(12), labels] - np.log(np.exp(shifted).sum(1))
        assert row["cross_entropy"] == pytest.approx(-picked.mean(), rel=1e-9)
    (row,) = data.where(mode="integer").records()
    difference = np.abs(found["integer"][0] - found["fake_quant"][0])
    assert row["logits_compared"] == difference.size
    assert row["logits_differ"] == np.count_nonzero(difference)
    assert row["largest_difference"] == pytest.approx(difference.max(), rel=1e-6)
    assert row["predictions_differ"] == np.count_nonzero(
        found["integer"][0].argmax(1) != found["fake_quant"][0].argmax(1)
    )


def test_operations(workload, quantized):
    table = SafeWidth(bits=5).compute(workload)["layers"]
    assert table.column("layer") == list(quantized.layers)
    for row in table.records():
        layer = quantized.layers[row["layer"]]
        shifts = [fmt.shift for fmt in layer.formats.a if not isinstance(fmt, pq.Uniform)]
        assert row["depth"] == layer.depth
        assert (row["shift_min"], row["shift_max"]) == ((min(shifts), max(shifts)) if shifts else (None, None))
        assert row["datatype"] == max(
            pq.required_bits(a, b, layer.depth)
            for a, b in zip(np.resize(layer.formats.a, 3), np.resize(layer.formats.b, 3), strict=True)
        )
        assert (row["weight_aware"] is None) == (layer.constant_b is None)
        theorems = [row[name] for name in ("datatype", "weight_aware", "row_stochastic") if row[name] is not None]
        assert row["calibrated"] <= min(theorems)


def test_calibrated_width_holds_the_prefix_sums(workload, quantized):
    table = SafeWidth(bits=5).compute(workload)["layers"]
    seen = {}
    for layer in quantized.layers.values():
        layer.integer.recorder = lambda name, group, a, b, result: seen.setdefault(name, []).append((a, b))
    quantized.mode = "integer"
    quantized(workload.calibration_images)
    for row in table.records():
        low = high = 0
        for a, b in seen[row["layer"]]:
            products = a.aligned()[..., :, :, None] * b.aligned()[..., None, :, :]
            prefixes = products.cumsum(axis=-2)
            low, high = min(low, int(prefixes.min())), max(high, int(prefixes.max()))
        assert row["calibrated"] == next(p for p in range(1, 64) if -(2 ** (p - 1)) <= low and high < 2 ** (p - 1))


@pytest.mark.parametrize("mode", ["wrap", "saturate"])
def test_width_curve(workload, quantized, mode):
    data = WidthCurve(bits=5, images=12, modes=(mode,), floor=0.0).compute(workload)
    curve, safe = data["curve"], dict(data["safe"].rows)
    assert safe["observed"] <= safe["tightest"] <= safe["datatype"]
    assert curve.column("bits")[0] == safe["observed"]
    exact, labels = logits(quantized, workload, 12, "integer")
    assert curve.column("top1")[0] == pytest.approx(100 * np.mean(exact.argmax(1) == labels))
    images, _ = workload.validation.read(range(12))
    for row in curve.records():
        quantized.accumulator = pq.Accumulator(bits=row["bits"], overflow=mode)
        quantized.mode = "integer"
        values = quantized(images)
        assert row["top1"] == pytest.approx(100 * float((values.argmax(1).numpy() == labels).mean()))
        assert row["cross_entropy"] == pytest.approx(
            float(torch.nn.functional.cross_entropy(values.double(), torch.from_numpy(labels))), rel=1e-9
        )


def test_a_calibrated_model_is_kept(workload, quantized, monkeypatch):
    monkeypatch.setattr(ptq, "calibrate", None)
    again = workload.quantized(SETTING)
    images = workload.calibration_images
    assert torch.equal(again(images), quantized(images))
