"""Crops: the same bits everywhere, and filters that others would recognize."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from ptqsim.ptq.datasets import crops as module
from ptqsim.ptq.datasets.crops import SIZE, make_crop, resize


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (3, 90, 120), dtype=np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    """An image without sharp edges, [3, H, W]."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (9 + c)) * np.cos(y / (7 + c)) for c in range(3)]
    return np.stack([127 + 120 * wave for wave in waves]).astype(np.uint8)


def test_crops_are_the_same_bits_everywhere(photograph: np.ndarray) -> None:
    made = np.stack([make_crop(photograph, 7, i) for i in range(24)])
    assert made.shape == (24, 3, SIZE, SIZE)
    assert made.dtype == np.uint8
    digest = "66c5c679b722caa922d9f7795b303dfd95a133d60ca0235733552d951d3dba09"
    assert hashlib.sha256(made.tobytes()).hexdigest() == digest


def test_a_crop_depends_on_its_number_and_key_alone(photograph: np.ndarray) -> None:
    third = make_crop(photograph, 7, 3)
    assert np.array_equal(make_crop(photograph, 7, 3), third)
    assert not np.array_equal(make_crop(photograph, 7, 4), third)
    assert not np.array_equal(make_crop(photograph, 8, 3), third)


@pytest.mark.parametrize(("height", "width"), [(24, 31), (300, 224), (700, 500)])
def test_resizing_is_that_of_pillow(height: int, width: int) -> None:
    pixels = smooth(height, width)
    image = Image.fromarray(pixels.transpose(1, 2, 0)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    difference = np.abs(resize(pixels, SIZE) - np.asarray(image, np.int32).transpose(2, 0, 1))
    assert difference.max() <= 1
    assert difference.mean() < 0.05


@pytest.mark.parametrize("sixteenths", [8, 24, 64])
def test_blurring_is_that_of_torchvision(sixteenths: int) -> None:
    from torchvision.transforms.functional import gaussian_blur

    pixels = smooth(SIZE, SIZE)
    kernel = module._blurring(sixteenths)
    blurred = module._products(pixels, kernel, kernel)
    wanted = gaussian_blur(torch.from_numpy(pixels), [13, 13], [sixteenths / 16] * 2).numpy()
    assert np.abs(blurred - wanted).max() <= 1


@pytest.mark.parametrize("kernel", [module._bicubic(1411, SIZE), module._bicubic(24, SIZE), module._blurring(8)])
def test_products_are_exact_in_float32(kernel: np.ndarray) -> None:
    assert np.array_equal(kernel, np.rint(kernel))
    assert (kernel.sum(axis=1) == 2**14).all()
    assert np.abs(kernel).sum(axis=1).max() * 255 < 2**24


def test_noise_has_its_standard_deviation() -> None:
    words = np.random.default_rng(0).integers(0, 2**64, 3 * SIZE * SIZE // 2, dtype=np.uint64)
    gray = np.full((3, SIZE, SIZE), 128, np.int32)
    noise = module._add_noise(gray, words, 160).astype(float) - 128
    assert abs(noise.mean()) < 0.1
    assert noise.std() == pytest.approx(10, rel=0.01)


def test_a_photograph_smaller_than_a_crop_is_taken_whole() -> None:
    made = make_crop(np.zeros((3, 10, 12), np.uint8), 1, 0)
    assert made.shape == (3, SIZE, SIZE)
