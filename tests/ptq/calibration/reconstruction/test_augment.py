"""Images made of calibration images."""

from __future__ import annotations

import torch

from ptqsim.ptq.calibration.reconstruction.augment import augmented


def test_every_value_comes_from_the_images_or_lies_between_two() -> None:
    images = torch.tensor([0.0, 1.0, 3.0]).reshape(3, 1, 1, 1).expand(3, 2, 16, 16)
    found = augmented(images, 200, torch.Generator().manual_seed(0))
    assert found.shape == (200, 2, 16, 16)
    assert float(found.min()) >= 0
    assert float(found.max()) <= 3
    kinds = [len(one.unique()) for one in found]
    whole = [float(one.flatten()[0]) in (0.0, 1.0, 3.0) for one in found]
    assert 40 < sum(kind == 2 for kind in kinds) < 70  # pasted, unless both images are the same
    assert 30 < sum(not yes for yes in whole) < 60  # mixed


def test_images_are_shifted_by_an_eighth_at_most() -> None:
    image = torch.arange(16.0).expand(1, 1, 16, 16)
    found = augmented(image, 100, torch.Generator().manual_seed(0))
    firsts = {float(one[0, 8, 8]) for one in found if one.unique().numel() > 1}
    assert firsts <= {6.0, 7.0, 8.0, 9.0, 10.0} | {float(v) for v in found[:, 0, 8, 8]}
    assert {6.0, 7.0, 8.0, 9.0, 10.0} <= {float(v) for v in found[:, 0, 8, 8]}


def test_a_seed_gives_the_same_images_again() -> None:
    images = torch.rand(4, 3, 8, 8)
    first, second, third = (augmented(images, 9, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
