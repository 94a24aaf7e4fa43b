"""Detection scenes: the same bits however they are made, and boxes around what is there."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from ptqsim.ptq.datasets.detection.digits import DetectionDigits
from ptqsim.ptq.datasets.detection.scenes import SIZE, make_detection_scenes
from ptqsim.ptq.datasets.scenes import SceneStyle

DIGESTS = {"train": "2553cae498a7326d", "calibration": "0ab43bd9857d219c", "validation": "44565826f96cd14d"}


def test_the_bits_are_those_of_every_other_machine() -> None:
    """The bundled weights and every printed number rest on these very scenes."""
    digests = {}
    for split in ("train", "calibration", "validation"):
        made = make_detection_scenes(split, 0, 100)  # type: ignore[arg-type]
        content = made.images.tobytes() + made.labels.tobytes() + made.boxes.tobytes()
        digests[split] = hashlib.sha256(content).hexdigest()[:16]
    assert digests == DIGESTS


def test_a_scene_does_not_depend_on_those_around_it() -> None:
    together = make_detection_scenes("validation", 5, 9, chunk=4)
    for i in range(9):
        alone = make_detection_scenes("validation", 5 + i, 1)
        assert np.array_equal(alone.images[0], together.images[i])
        assert np.array_equal(alone.labels[0], together.labels[i])
        assert np.array_equal(alone.boxes[0], together.boxes[i])


def test_one_to_six_digits_of_many_sizes_inside_the_scene() -> None:
    made = make_detection_scenes("train", 0, 600)
    there = made.labels >= 0
    assert set(there.sum(axis=1).tolist()) == {1, 2, 3, 4, 5, 6}
    assert (np.diff(there.astype(int), axis=1) <= 0).all()  # first those that are there
    assert set(made.labels[there].tolist()) == set(range(10))
    left, top, width, height = made.boxes[there].T
    assert min(left.min(), top.min()) >= 0
    assert max((left + width).max(), (top + height).max()) <= SIZE
    assert min(width.min(), height.min()) >= 2
    assert height.max() > 2 * height.min()
    assert (made.boxes[~there] == 0).all()


def test_boxes_hold_the_ink_and_no_more() -> None:
    """Without clutter and noise, what is not in a box is a plane, and the edges of a box are not."""
    made = make_detection_scenes("train", 0, 40, style=SceneStyle(clutter=0, contrast=150, noise=0))
    y, x = np.mgrid[:SIZE, :SIZE]
    plane = np.stack([np.ones(SIZE * SIZE), y.ravel(), x.ravel()], axis=1)
    for image, labels, boxes in zip(made.images, made.labels, made.boxes, strict=True):
        grey = image[1].astype(float)
        outside = np.ones((SIZE, SIZE), bool)
        for left, top, width, height in boxes[labels >= 0]:
            outside[top : top + height, left : left + width] = False
        fit, *_ = np.linalg.lstsq(plane[outside.ravel()], grey[outside], rcond=None)
        distance = np.abs(grey - (plane @ fit).reshape(SIZE, SIZE))
        # ink is a quarter of the contrast, which is 150 less a tint of 24 and more, and rounding
        assert distance[outside].max() < 0.25 * (150 + 24 + 16) + 6
        for left, top, width, height in boxes[labels >= 0]:
            inside = distance[top : top + height, left : left + width]
            for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
                assert edge.max() > 0.25 * (150 - 24 - 16) - 8


def test_splits_and_seeds_differ() -> None:
    images = [make_detection_scenes(split, 0, 4).images for split in ("train", "calibration", "validation")]  # type: ignore[arg-type]
    images.append(make_detection_scenes("train", 0, 4, seed=1).images)
    assert all(not np.array_equal(one, other) for i, one in enumerate(images) for other in images[:i])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("valdation", 0, 1), "did you mean"),
        (("calibration", 999, 2), "it has scenes 0 to 999"),
        (("train", 0, 0), "at least one scene"),
    ],
)
def test_scenes_that_are_not_there(arguments: tuple[str, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"(?i){message}"):
        make_detection_scenes(*arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seed"):
        make_detection_scenes("train", 0, 1, seed=-1)


def test_annotations_are_those_of_the_scenes() -> None:
    data = DetectionDigits("validation")
    images, numbers = data.read([7, 3])
    assert images.shape == (2, 3, SIZE, SIZE)
    assert numbers.tolist() == [7, 3]
    truth = data.ground_truth([7, 3])
    assert [entry["id"] for entry in truth.images] == [7, 3]
    for number in (7, 3):
        made = make_detection_scenes("validation", number, 1)
        expected = [
            (int(label), box.tolist()) for label, box in zip(made.labels[0], made.boxes[0], strict=True) if label >= 0
        ]
        found = [(e["category_id"], e["bbox"]) for e in truth.annotations if e["image_id"] == number]
        assert found == expected
    assert [entry["id"] for entry in truth.annotations] == list(range(1, len(truth.annotations) + 1))
