"""Crops of photographs, cut, blurred, recolored and noisy, in integers.

Crop ``i`` owns words ``[i * W, (i + 1) * W)`` of a random stream, see :mod:`ptqsim.ptq.datasets.compositing`, so it
does not depend on how many others are made, or in what order.  Everything after that is integer arithmetic, the same
bits on every machine: resizing and blurring are matrix products of integers whose partial sums stay below 2**24, hence
exact in float32 in any order of summation, and their weights are rounded from correctly rounded operations.
"""

from __future__ import annotations

from decimal import Context, Decimal
from functools import lru_cache
from math import isqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.ptq.datasets.compositing import random_words

SIZE: Final = 224
"""Height and width of a crop in pixels."""

_FIELDS: Final = 12  # random words that a crop is laid out by
_NOISE_BYTES: Final = 4  # per value
_WORDS: Final = _FIELDS + 3 * SIZE * SIZE * _NOISE_BYTES // 8  # a multiple of 4, as Philox makes 4 words per step

_SMALLEST: Final = 24  # least height and width of what is cut out, in pixels
_STEPS: Final = 64  # areas, and ratios of height and width, that a crop may have
_ONE: Final = 2**14  # sum of the weights of one resized or blurred pixel
_EXACT: Final = Context(prec=28)  # exp and ln of decimals are correctly rounded
_REACH: Final = 6  # pixels that a blurred one takes from each side
_LUMINANCE: Final = 19595, 38470, 7471
"""Of red, green and blue in 2**16ths (ITU-R BT.601), as in Pillow."""
_NOISE: Final = 443
"""2**20 / (16 * 147.8), the standard deviation of the sum of four random bytes being 147.8."""


def make_crop(photograph: NDArray[np.uint8], key: int, index: int) -> NDArray[np.uint8]:
    """One crop: 2 to 25 % of the photograph, resized.

    Parameters
    ----------
    photograph : uint8 array [3, H, W]
    key : int
        Of the random stream.
    index : int
        Number of the crop in that stream.

    Returns
    -------
    uint8 array [3, 224, 224]
    """
    words = random_words(key, index, 1, _WORDS)
    area, ratio, place_x, place_y, flips, bright, contrast, color, blurs, sigma, gray, noise = map(
        int, words[0, :_FIELDS]
    )
    pixels = resize(_cut(photograph, area, ratio, place_x, place_y), SIZE)
    if flips & 1:
        pixels = pixels[:, :, ::-1]
    if flips & 2:
        pixels = pixels[:, ::-1]
    pixels = np.minimum(pixels * _draw(bright, 128, 384) >> 8, 255)
    pixels = _toward(np.int32((2 * _luminance(pixels).sum() + SIZE * SIZE) // (2 * SIZE * SIZE)), pixels, contrast)
    pixels = _toward(_luminance(pixels), pixels, color, lowest=0)
    if _draw(blurs, 0, 99) < 60:
        blurring = _blurring(_draw(sigma, 8, 64))
        pixels = _products(pixels, blurring, blurring)
    if _draw(gray, 0, 99) < 30:
        pixels = np.broadcast_to(_luminance(pixels), pixels.shape)
    return _add_noise(pixels, words[0, _FIELDS:], _draw(noise, 0, 480))


def resize(pixels: NDArray[np.uint8], size: int) -> NDArray[np.int32]:
    """An image [3, H, W] as [3, ``size``, ``size``], values 0..255, by the bicubic filter of Pillow."""
    return _products(pixels, _bicubic(pixels.shape[1], size), _bicubic(pixels.shape[2], size))


def _draw(word: int, low: int, high: int) -> int:
    """An integer low..high, both included."""
    return low + word % (high - low + 1)


def _cut(photograph: NDArray[np.uint8], area: int, ratio: int, x: int, y: int) -> NDArray[np.uint8]:
    """The part of the photograph that random words choose."""
    _, height, width = photograph.shape
    pixels = height * width * _geometric("0.02", "0.25")[area % _STEPS]
    aspect = _geometric("0.67", "1.4925")[ratio % _STEPS]
    cut_width = min(width, max(_SMALLEST, isqrt(pixels * aspect >> 32)))
    cut_height = min(height, max(_SMALLEST, isqrt(pixels // aspect)))
    left, top = x % (width - cut_width + 1), y % (height - cut_height + 1)
    return photograph[:, top : top + cut_height, left : left + cut_width]


@lru_cache
def _geometric(low: str, high: str) -> list[int]:
    """Numbers from ``low`` to ``high`` in equal steps of their logarithm, in 2**16ths."""
    first, last = (_EXACT.ln(Decimal(end)) for end in (low, high))
    steps = [_EXACT.add(first, _EXACT.multiply(last - first, Decimal(k) / (_STEPS - 1))) for k in range(_STEPS)]
    return [int(_EXACT.multiply(_EXACT.exp(step), Decimal(2**16))) for step in steps]


def _bicubic(given: int, size: int) -> NDArray[np.float32]:
    """Weights [``size``, ``given``] in 2**14ths; the filter covers more pixels where the image is made smaller."""
    distance = np.abs((2 * np.arange(given) + 1) * size - (2 * np.arange(size)[:, None] + 1) * given)
    x = distance / (2 * max(given, size))
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = np.rint(np.where(x < 1, near, np.where(x < 2, far, 0)) * 2**20).astype(np.int64)
    return _sums_to_one(weights)


@lru_cache(maxsize=64)
def _blurring(sixteenths: int) -> NDArray[np.float32]:
    """Weights [224, 224] in 2**14ths of a Gaussian of that standard deviation; the image is mirrored at its edges."""
    weights = np.zeros((SIZE, SIZE), np.int64)
    rows = np.arange(SIZE)
    for k in range(-_REACH, _REACH + 1):
        exponent = _EXACT.divide(Decimal(-128 * k * k), Decimal(sixteenths * sixteenths))  # -k**2 / (2 sigma**2)
        column = np.abs(rows + k)
        column = np.where(column < SIZE, column, 2 * (SIZE - 1) - column)
        np.add.at(weights, (rows, column), int(_EXACT.multiply(_EXACT.exp(exponent), Decimal(2**20))))
    return _sums_to_one(weights)


def _sums_to_one(weights: NDArray[np.int64]) -> NDArray[np.float32]:
    """Rows scaled to a sum of 2**14; what rounding leaves goes to the largest weight."""
    scaled = (2 * _ONE * weights // weights.sum(axis=1, keepdims=True) + 1) >> 1
    rows = np.arange(len(scaled))
    scaled[rows, scaled.argmax(axis=1)] += _ONE - scaled.sum(axis=1)
    rounded: NDArray[np.float32] = scaled.astype(np.float32)
    return rounded


def _products(
    pixels: NDArray[np.integer], rows: NDArray[np.float32], columns: NDArray[np.float32]
) -> NDArray[np.int32]:
    """``rows @ pixels @ columns.T`` of every channel, rounded to 0..255 after either product.

    The absolute weights of one pixel sum to less than 2**15, and 2**15 * 255 < 2**24.
    """
    across = _rounded(pixels.astype(np.float32) @ columns.T)
    return _rounded(rows @ across).astype(np.int32)


def _rounded(sums: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.clip(np.floor(sums * np.float32(1 / _ONE) + np.float32(0.5)), 0, 255)
    return found


def _luminance(pixels: NDArray[np.int32]) -> NDArray[np.int32]:
    red, green, blue = (pixels[c] * weight for c, weight in enumerate(_LUMINANCE))
    luminance: NDArray[np.int32] = (red + green + blue + 2**15) >> 16
    return luminance


def _toward(
    center: NDArray[np.int32] | np.int32, pixels: NDArray[np.int32], word: int, lowest: int = 128
) -> NDArray[np.int32]:
    """Pixels at ``lowest``/256 to 3/2 times their distance from ``center``, as a random word chooses."""
    return np.clip(center + ((pixels - center) * _draw(word, lowest, 384) >> 8), 0, 255)


def _add_noise(pixels: NDArray[np.int32], words: NDArray[np.uint64], sixteenths: int) -> NDArray[np.uint8]:
    """Noise of nearly normal distribution, of that standard deviation, as uint8 pixels."""
    drawn = words.astype("<u8").view(np.uint8).reshape(_NOISE_BYTES, *pixels.shape)
    noise = drawn.sum(axis=0, dtype=np.int32) - _NOISE_BYTES * 255 // 2
    noisy: NDArray[np.uint8] = np.clip(pixels + ((noise * (sixteenths * _NOISE) + 2**19) >> 20), 0, 255).astype(
        np.uint8
    )
    return noisy
