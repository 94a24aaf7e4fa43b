"""The bundled data: the same bits, disjoint sources, labels that say what is there."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest

from ptqsim.ptq.datasets import compositing
from ptqsim.ptq.datasets.scenes import SceneStyle, make_scenes


def test_the_bits_are_those_of_every_other_machine() -> None:
    """Printed numbers rest on these very scenes; whoever changes them knowingly re-trains and re-measures."""
    digests = {
        split: hashlib.sha256(make_scenes(split, 0, 100).images.tobytes()).hexdigest()[:16]  # type: ignore[arg-type]
        for split in ("train", "calibration", "validation")
    }
    assert digests == DIGESTS


DIGESTS = {
    "train": "40b18dc803679994",
    "calibration": "d7af142b03d0120d",
    "validation": "65d12b7f26b10717",
}


def test_a_scene_does_not_depend_on_how_many_are_made() -> None:
    whole = make_scenes("validation", 0, 40, chunk=7)
    part = make_scenes("validation", 23, 5)
    assert np.array_equal(whole.images[23:28], part.images)
    assert np.array_equal(whole.labels[23:28], part.labels)
    assert np.array_equal(whole.patches[23:28], part.patches)


def test_seeds_give_different_scenes() -> None:
    assert not np.array_equal(make_scenes("train", 0, 4).images, make_scenes("train", 0, 4, seed=1).images)


def test_sources_of_the_splits_are_disjoint_and_cover_all_scans() -> None:
    from sklearn.datasets import load_digits

    scans = [compositing.scans_of(split)[0] for split in ("train", "calibration", "validation")]
    assert sum(map(len, scans)) == len(load_digits().images)
    seen = [{scan.tobytes() for scan in part} for part in scans]
    assert not any(one & other for one, other in itertools.combinations(seen, 2))


def test_every_class_occurs_and_patches_agree_with_the_label() -> None:
    made = make_scenes("validation", 0, 3000)
    assert set(made.labels) == set(range(100))
    for label, patches in zip(made.labels[:200], made.patches[:200], strict=True):
        assert set(patches) <= {label // 10, 10 + label % 10, 20}
    assert (made.patches < 20).any(axis=1).all()


def test_images_fill_the_range_of_bytes_without_sticking_to_its_ends() -> None:
    images = make_scenes("validation", 0, 200).images
    assert images.shape == (200, 3, 32, 32)
    assert images.dtype == np.uint8
    assert np.isin(images, (0, 255)).mean() < 0.05
    assert images.std() > 30


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_scenes("validaton", 0, 1), "did you mean|Did you mean"),  # type: ignore[arg-type]
        (lambda: make_scenes("validation", 9_999, 2), "0 to 9999"),
        (lambda: make_scenes("train", 0, 0), "at least one"),
        (lambda: make_scenes("train", 0, 1, seed=-1), "seed"),
        (lambda: SceneStyle(clutter=7), "clutter is 7"),
        (lambda: SceneStyle(noise=-1), "noise is -1"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()
