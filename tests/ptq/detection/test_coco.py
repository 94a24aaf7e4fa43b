"""COCO folders and the metric: worked examples, and one clear error for each kind of bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ptqsim import ptq
from ptqsim.ptq.datasets.detection.coco import GroundTruth, detections, mean_average_precision
from ptqsim.ptq.evaluation.detection import DetectionEvaluation
from ptqsim.ptq.network.detr.detector import Detector
from ptqsim.ptq.network.detr.preprocessing import Preprocessing
from ptqsim.ptq.zoo.detector_names import DETR_RESNET_50

CATEGORIES = [{"id": c, "name": str(c)} for c in range(3)]


def truth(*boxes: tuple[int, int, list[float]]) -> GroundTruth:
    images = [{"id": i, "width": 200, "height": 100} for i in sorted({image for image, _, _ in boxes})]
    annotations = [
        {"id": k + 1, "image_id": i, "category_id": c, "bbox": b, "area": b[2] * b[3], "iscrowd": 0}
        for k, (i, c, b) in enumerate(boxes)
    ]
    return GroundTruth(images, annotations, CATEGORIES)


def query(category: int, logit: float, box: list[float]) -> torch.Tensor:
    """One query's output for a box of left, top, width and height in 200x100 pixels."""
    logits = torch.zeros(4)
    logits[category] = logit
    left, top, width, height = box
    return torch.cat(
        [logits, torch.tensor([(left + width / 2) / 200, (top + height / 2) / 100, width / 200, height / 100])]
    )


def test_detections_are_in_pixels_and_the_most_certain_first() -> None:
    found = detections(torch.stack([query(1, 2.0, [10, 20, 30, 40]), query(2, 3.0, [0, 0, 200, 100])]), 200, 100)
    assert found.labels.tolist() == [2, 1]
    assert found.boxes == pytest.approx(np.array([[0, 0, 200, 100], [10, 20, 40, 60]]), abs=1e-4)
    assert found.scores[1] == pytest.approx(np.exp(2) / (np.exp(2) + 3))


def test_precision_of_worked_examples() -> None:
    objects = truth((1, 0, [10, 10, 50, 50]), (1, 1, [100, 20, 50, 50]))
    right = torch.stack([query(0, 5.0, [10, 10, 50, 50]), query(1, 5.0, [100, 20, 50, 50])])
    perfect = mean_average_precision(right[None], objects)
    assert perfect["mAP"] == pytest.approx(100.0)
    assert "AP_small" not in perfect  # both objects are of 32x32 to 96x96 pixels
    # shifted by 10 of 50 pixels: overlap 2000 / 3000, which passes the thresholds 0.50, 0.55, 0.60 and 0.65 of ten
    shifted = torch.stack([query(0, 5.0, [20, 10, 50, 50]), query(1, 5.0, [100, 20, 50, 50])])
    half = mean_average_precision(shifted[None], objects)
    assert half["mAP"] == pytest.approx((40.0 + 100.0) / 2, abs=0.1)
    assert half["AP50"] == pytest.approx(100.0)
    assert half["AP75"] == pytest.approx(50.0)
    # a wrong class is a miss of the one and a false alarm of the other, here with the higher score
    wrong = torch.stack([query(1, 9.0, [10, 10, 50, 50]), query(1, 5.0, [100, 20, 50, 50])])
    assert mean_average_precision(wrong[None], objects)["mAP"] == pytest.approx(25.0, abs=0.5)


@pytest.mark.parametrize("ids", [(0, 1), (1, 0), (7, 3), (0, -5)])
def test_ids_of_annotations_are_names_and_nothing_else(ids: tuple[int, int]) -> None:
    """pycocotools takes an object with id 0 for one that was not found."""
    objects = truth((1, 0, [10, 10, 50, 50]), (1, 1, [100, 20, 50, 50]))
    renamed = GroundTruth(
        objects.images, [{**entry, "id": k} for entry, k in zip(objects.annotations, ids, strict=True)], CATEGORIES
    )
    right = torch.stack([query(0, 5.0, [10, 10, 50, 50]), query(1, 5.0, [100, 20, 50, 50])])[None]
    assert mean_average_precision(right, renamed) == mean_average_precision(right, objects)
    assert mean_average_precision(right, renamed)["mAP"] == pytest.approx(100.0)
    assert [entry["id"] for entry in renamed.annotations] == list(ids)


@pytest.mark.parametrize("crowd", [False, True])
def test_images_without_objects_have_no_precision(crowd: bool) -> None:
    objects = truth((1, 0, [10, 10, 50, 50]))
    annotations = [{**entry, "iscrowd": 1} for entry in objects.annotations] if crowd else []
    none = GroundTruth(objects.images, annotations, CATEGORIES)
    found = DetectionEvaluation(query(0, 5.0, [10, 10, 50, 50])[None, None], torch.tensor([1]), none)
    with pytest.warns(UserWarning, match="none of the 1 images has an annotated object"):
        metrics = found.metrics
    assert list(metrics) == ["mAP", "AP50", "AP75"]
    assert all(np.isnan(value) for value in metrics.values())


def test_a_query_that_is_not_finite_detects_nothing() -> None:
    good, nan, inf = (query(0, 5.0, [10, 10, 50, 50]) for _ in range(3))
    nan[0], inf[5] = torch.nan, torch.inf
    assert len(detections(torch.stack([nan, good, inf]), 200, 100).scores) == 1
    objects = truth((1, 0, [10, 10, 50, 50]))
    assert mean_average_precision(torch.stack([nan, good, inf])[None], objects)["mAP"] == pytest.approx(100.0)
    assert mean_average_precision(torch.stack([nan, inf])[None], objects)["mAP"] == 0.0


def test_images_exchanged_are_noticed(coco: Callable[..., Path], detector: Detector) -> None:
    folder = coco()
    data = ptq.load_data(folder, detector)
    path = folder / "val2017" / "000000000000.png"
    before, of_the_other = data.fingerprint, data.fingerprint_of([1])
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    assert data.fingerprint != before
    assert data.fingerprint_of([1]) == of_the_other


def test_objects_of_images_for_calibration_are_looked_at_when_they_are_used(
    coco: Callable[..., Path], detector: Detector
) -> None:
    coco(put("annotations", "area", None), split="train2017")
    data = ptq.load_data(coco(), detector, split="train")
    assert data.read([0])[1].tolist() == [0]
    assert data.ground_truth([1]).annotations[0]["area"] == 600.0
    with pytest.raises(ValueError, match=r"instances_train2017\.json .* has area None"):
        data.ground_truth([0])


def test_networks_are_measured_by_what_they_are_for(detector: Detector, quantized: ptq.QuantizedModel) -> None:
    data = ptq.load_data("digits", detector)
    found = ptq.measure(detector, data, limit=7, batch=3)
    assert isinstance(found, DetectionEvaluation)
    assert found.images == 7
    assert found.predictions.shape == (7, 8)
    with torch.no_grad():
        torch.testing.assert_close(found.logits, detector(data.read(range(7))[0]), rtol=1e-3, atol=1e-3)
    assert found.metrics == mean_average_precision(found.logits, data.ground_truth(range(7)))
    gap = ptq.difference(ptq.measure(quantized, data, limit=7), found)
    assert gap.of == 7 * 8 * 15
    assert ptq.difference(found, found) == ptq.Difference(
        logits=0, of=gap.of, predictions=0, images=found.images, largest=0.0, divergence=ptq.Mean(0.0, 0.0)
    )
    assert found.metrics == mean_average_precision(found.logits, data.ground_truth(range(7)))
    other = ptq.measure(quantized, data, limit=7)
    gap = ptq.difference(other, found)
    assert gap.of == 7 * 8 * 15
    moved = [not torch.equal(one, two) for one, two in zip(other.predictions, found.predictions, strict=True)]
    assert gap.predictions == sum(moved)


def test_a_folder_in_cocos_layout(coco: Callable[..., Path], detector: Detector) -> None:
    folder = coco()
    data = ptq.load_data(folder, detector)
    assert (data.name, len(data)) == (f"{folder.name}/val2017", 2)
    images, numbers = data.read([1, 0])
    assert images.shape == (2, 3, 64, 64)
    assert numbers.tolist() == [1, 0]
    found = ptq.measure(detector, data)
    assert isinstance(found, DetectionEvaluation)
    assert [entry["id"] for entry in found.truth.images] == [10, 11]
    assert len(found.truth.annotations) == 2
    assert len(ptq.load_data(folder, detector, split="calibration")) == 2  # there is no training split
    before = data.fingerprint
    coco(split="train2017")
    assert ptq.load_data(folder, detector, split="calibration").name == f"{folder.name}/train2017"
    (folder / "annotations" / "instances_val2017.json").write_text(json.dumps(json.loads("{}")))
    assert data.fingerprint != before


def test_large_images_are_resized_as_detr_does_and_padded_in_a_batch() -> None:
    """Shorter side 800, unless the longer would pass 1333 (Carion et al., appendix A.4)."""
    rules = DETR_RESNET_50.preprocessing
    assert rules.size(640, 480) == (1067, 800)
    assert rules.size(480, 640) == (800, 1067)
    assert rules.size(1000, 200) == (1333, 267)
    small = Preprocessing((3, 8, 8), mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0), resize=(8, 16))
    wide, square = (small.tensor(Image.new("RGB", size, (255, 255, 255))) for size in ((40, 20), (20, 20)))
    assert wide.shape == (3, 8, 16)
    assert square[:, 0, 0].tolist() == pytest.approx([1.0, 3.0, 1.0])
    batch = small.batch([wide, square])
    assert batch.shape == (2, 4, 8, 16)
    assert batch[1, 3, 0].tolist() == [1.0] * 8 + [0.0] * 8
    assert (batch[1, :, :, 8:] == 0).all()
    assert (batch[0, 3] == 1).all()


def put(part: str, field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content[part][0].__setitem__(field, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("annotations", "image_id", 77), "annotation 1 of .* is of image_id 77, which the file has not"),
        (put("annotations", "category_id", 5), "is of category_id 5, which the file has not"),
        (put("annotations", "bbox", [40.0, 2.0, 20.0, 30.0]), "has a box outside of its image"),
        (put("annotations", "bbox", [-3.0, 2.0, 20.0, 30.0]), "has a box outside of its image"),
        (put("annotations", "bbox", [1.0, 2.0, 0.0, 30.0]), "has an empty box"),
        (put("annotations", "bbox", [1.0, 2.0, 30.0]), "legal are four finite numbers"),
        (put("annotations", "bbox", [1.0, 2.0, float("nan"), 3.0]), "legal are four finite numbers"),
        (put("annotations", "bbox", ["1", "2", "20", "30"]), r"annotation 1 of .*val2017\.json .* has bbox \['1'"),
        (put("annotations", "bbox", [True, 2.0, 20.0, 30.0]), "has bbox .*True.* four finite numbers"),
        (put("annotations", "bbox", [1, 2, 20, 10**400]), "legal are four finite numbers"),
        (
            put("annotations", "bbox", None),
            "entry 0 of 'annotations' in .* has bbox None; legal is .* type list",
        ),
        (put("annotations", "area", None), r"annotation 1 of .*val2017\.json .* has area None; legal is a number"),
        (put("annotations", "area", "600"), "has area '600'; legal is a number"),
        (put("annotations", "area", -1.0), "has area -1.0; legal is a number"),
        (put("annotations", "area", float("inf")), "has area inf; legal is a number"),
        (put("annotations", "iscrowd", None), "has iscrowd None; legal are 0 and 1"),
        (put("annotations", "iscrowd", "0"), "has iscrowd '0'; legal are 0 and 1"),
        (put("annotations", "id", True), "has id True; legal is a value of type int"),
        (put("annotations", "id", None), "has id None; legal is a value of type int"),
        (put("annotations", "image_id", "10"), "has image_id '10'; legal is a value of type int"),
        (put("annotations", "id", 2), "two entries of 'annotations' with id 2"),
        (put("images", "width", 0), "image 10 .* is empty, 0x40 pixels"),
        (put("images", "id", 11), "two entries of 'images' with id 11"),
        (put("images", "file_name", "other.png"), r"1 of them are not in .*, the first is other\.png"),
        (put("images", "height", "tall"), "has height 'tall'; legal is a value of type int"),
        (lambda content: content.pop("categories"), "has no list 'categories'"),
        (lambda content: content.update(images=[], annotations=[]), "lists no images"),
    ],
)
def test_bad_annotations_are_named(
    coco: Callable[..., Path], detector: Detector, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ptq.load_data(coco(change), detector)


def test_boxes_may_stand_over_by_a_rounded_pixel(coco: Callable[..., Path], detector: Detector) -> None:
    assert len(ptq.load_data(coco(put("annotations", "bbox", [30.5, 2.0, 20.0, 30.0])), detector)) == 2


def test_images_that_do_not_match_their_annotations(coco: Callable[..., Path], detector: Detector) -> None:
    folder = coco(put("images", "width", 51))
    data = ptq.load_data(folder, detector)
    with pytest.raises(ValueError, match=r"has 50x40 pixels, but .* says 51x40"):
        data.read([0])
    (folder / "val2017" / "000000000001.png").write_bytes(b"")
    with pytest.raises(ValueError, match="is no readable image"):
        data.read([1])


def test_folders_that_are_no_coco(coco: Callable[..., Path], detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no data folder"):
        ptq.load_data(tmp_path / "nowhere", detector)
    with pytest.raises(FileNotFoundError, match=r"no annotations/instances_val2017\.json"):
        ptq.load_data(tmp_path, detector)
    folder = coco()
    (folder / "annotations" / "instances_val2017.json").write_text('{"images": [')
    with pytest.raises(ValueError, match="is no readable JSON"):
        ptq.load_data(folder, detector)
    coco(split="val")
    (folder / "annotations" / "instances_val2017.json").unlink()
    assert ptq.load_data(folder, detector).name.endswith("/val")
    for path in (folder / "val").iterdir():
        path.unlink()
    (folder / "val").rmdir()
    with pytest.raises(FileNotFoundError, match="but not its images"):
        ptq.load_data(folder, detector)


@pytest.mark.parametrize("number", [10, -1])
def test_classes_that_the_model_does_not_know(number: int, coco: Callable[..., Path], detector: Detector) -> None:
    def more(content: dict[str, Any]) -> None:
        content["categories"].append({"id": number, "name": "more"})

    with pytest.raises(ValueError, match=f"has category {number}, but the model knows classes 0 to 9"):
        ptq.load_data(coco(more), detector)
