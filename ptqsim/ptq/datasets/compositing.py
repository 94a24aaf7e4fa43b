"""Composition of scenes: scans, random words, and objects laid over a background, in integers.

Randomness is the raw output of the counter-based Philox generator, whose stream NumPy guarantees; item ``i`` owns words
``[i * W, (i + 1) * W)`` of it, so an item does not depend on how many others are made, or in what order.  The one
floating-point step is a matrix product of small integers whose partial sums stay below 2**24, hence exact in float32
in any order of summation.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ptqsim.common.choice import Choice


class DataSplit(Choice):
    """Part of a data set: for training, for calibration, or to measure accuracy on."""

    TRAIN = "train"
    CALIBRATION = "calibration"
    VALIDATION = "validation"


SPLIT_SIZES: Final[dict[str, int]] = {"train": 2**62, "calibration": 1_000, "validation": 10_000}

ONE: Final = 64
"""Fixed-point one of positions, extents and interpolation weights."""


class Drawn(NamedTuple):
    """Random words of scenes, and the scans that they choose.

    Attributes
    ----------
    scene : uint64 array [n, 8]
        Words of the scene as a whole.
    fields : uint64 array [n, objects, words]
        Words of each object.
    noise : uint64 array [n, size * size / 8]
        One byte per pixel.
    scans : float32 array [n, objects, 8, 8]
        Clutter first, each piece a band of its scan; then whole digits.
    digits : int64 array [n, objects]
        The digits that the scans show.
    """

    scene: NDArray[np.uint64]
    fields: NDArray[np.uint64]
    noise: NDArray[np.uint64]
    scans: NDArray[np.float32]
    digits: NDArray[np.int64]


def pieces(split: str, start: int, count: int, seed: int, seeds: int, chunk: int) -> list[tuple[int, int]]:
    """Scenes ``start`` to ``start + count - 1`` as first scene and size of pieces of at most ``chunk``.

    Raises
    ------
    ValueError
        For a range outside of the split, or a seed that is not below ``seeds``, a power of two.
    """
    if start < 0 or count < 1 or start + count > SPLIT_SIZES[split]:
        raise ValueError(
            f"scenes {start} to {start + count - 1} of split {split!r} were asked for; it has scenes 0 to "
            f"{SPLIT_SIZES[split] - 1}: ask for at least one scene, within that range"
        )
    if not 0 <= seed < seeds:
        limit = f"2**{seeds.bit_length() - 1} - 1"
        raise ValueError(f"seed is {seed}; legal is 0 to {limit}: choose a seed in that range")
    return [(first, min(chunk, start + count - first)) for first in range(start, start + count, chunk)]


@lru_cache(maxsize=3)
def scans_of(split: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scans [n, 8, 8] with values 0..16 and their labels [n] of one split.

    The data set lists its writers one after the other, so each split takes a contiguous block of every digit's scans
    and sees (nearly) other hands than the other two.
    """
    from sklearn.datasets import load_digits

    scans = load_digits()
    low, high = {"train": (0, 70), "calibration": (70, 80), "validation": (80, 100)}[split]
    chosen = []
    for digit in range(10):
        of_digit = np.flatnonzero(scans.target == digit)
        chosen.append(of_digit[len(of_digit) * low // 100 : len(of_digit) * high // 100])
    index = np.sort(np.concatenate(chosen))
    return scans.images[index].astype(np.float32), scans.target[index].astype(np.int64)


def random_words(key: int, start: int, n: int, words: int) -> NDArray[np.uint64]:
    """Words [n, ``words``] of items ``start`` to ``start + n - 1``; ``words`` is a multiple of 4, as Philox's steps."""
    stream = np.random.Philox(key=key)
    stream.advance(start * words // 4)
    drawn: NDArray[np.uint64] = stream.random_raw(n * words)
    return drawn.reshape(n, words)


def draw(
    split: DataSplit, key: int, start: int, n: int, *, clutter: int, objects: int, fields: int, banded: int, size: int
) -> Drawn:
    """The words and scans of scenes ``start`` to ``start + n - 1``.

    Parameters
    ----------
    split : DataSplit
        The split whose scans are used.  It is part of the stream's key, so that two splits also differ in layout.
    key : int
        Key of the stream for the first split.
    start, n : int
        The range of scenes.
    clutter, objects : int
        Number of pieces of clutter, and of all objects.
    fields : int
        Words per object; the first one chooses the scan.
    banded : int
        The first of the three words that choose the band of a piece of clutter.
    size : int
        Height and width of a scene in pixels.
    """
    scans, digits = scans_of(split)
    # a multiple of 4 words, as Philox makes 4 per step
    words = random_words(key + list(DataSplit).index(split), start, n, 8 + objects * fields + size * size // 8)
    scene, of_objects, noise = np.split(words, [8, 8 + objects * fields], axis=1)
    drawn = of_objects.reshape(n, objects, fields)
    which = (drawn[..., 0] % np.uint64(len(scans))).astype(np.int64)
    whole = (np.arange(objects) >= clutter)[:, None, None]
    sources = scans[which] * (bands(drawn[..., banded : banded + 3]) | whole)
    return Drawn(scene, drawn, noise, sources, digits[which])


def painted(drawn: Drawn, alpha: NDArray[np.int32], colored: int, contrast: int, noise: int) -> NDArray[np.uint8]:
    """Images [n, 3, size, size] of objects over a background with a gradient, under noise.

    Parameters
    ----------
    drawn : Drawn
        The words.
    alpha : int32 array [n, objects, size, size]
        Opacity of the objects.
    colored : int
        The first of the two words that choose the color of an object.
    contrast, noise : int
        As in :class:`~ptqsim.ptq.datasets.scenes.SceneStyle`.
    """
    background, color = colors(drawn.scene[:, 1:4], drawn.fields[..., colored : colored + 2], contrast)
    canvas = gradient(background, drawn.scene[:, 4:6], alpha.shape[-1])
    blend(canvas, color, alpha)
    return add_grain(canvas, drawn.noise, noise)


def integers(words: NDArray[np.uint64], low: int, high: int) -> NDArray[np.int64]:
    """Integers low..high, both included."""
    return low + (words % np.uint64(high - low + 1)).astype(np.int64)


def alpha_of(
    sources: NDArray[np.float32],
    center_y: NDArray[np.int64],
    center_x: NDArray[np.int64],
    height: NDArray[np.int64],
    width: NDArray[np.int64],
    size: int,
) -> NDArray[np.int32]:
    """Opacity 0..256 of objects over the pixels of a scene.

    Parameters
    ----------
    sources : float32 array [n, objects, 8, 8]
        Scans, 0..16.
    center_y, center_x, height, width : int64 array [n, objects]
        In pixels times ``ONE``.
    size : int
        Height and width of a scene in pixels.

    Returns
    -------
    int32 array [n, objects, size, size]
    """
    # 0..16*64*64: separable bilinear interpolation of the 8x8 scan, all products and sums exact in float32
    rows, columns = _weights(center_y, height, size), _weights(center_x, width, size)
    return (rows @ sources @ columns.swapaxes(-1, -2)).astype(np.int32) >> 8


def _weights(center: NDArray[np.int64], extent: NDArray[np.int64], size: int) -> NDArray[np.float32]:
    """Hat-function weights [n, objects, size, 8] in 0..64, the scan being ``extent`` / 64 pixels long."""
    pixel = np.arange(size) * ONE + ONE // 2
    position = (pixel - center[..., None]) * (8 * ONE) // extent[..., None] + 4 * ONE - ONE // 2
    distance = np.abs(position[..., None] - np.arange(8) * ONE)
    weights: NDArray[np.float32] = np.maximum(ONE - distance, 0).astype(np.float32)
    return weights


def bands(fields: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Mask [..., 8, 8] of fields [..., 3]: a band of 3 or 4 rows or columns of a scan, so that no digit is whole."""
    first = integers(fields[..., 0], 0, 4)[..., None]
    length = integers(fields[..., 1], 3, 4)[..., None]
    band = (np.arange(8) >= first) & (np.arange(8) < first + length)
    upright = (fields[..., 2] % np.uint64(2) == 0)[..., None, None]
    return np.where(upright, band[..., None, :], band[..., :, None]) & np.ones((8, 8), bool)


def colors(
    scene: NDArray[np.uint64], fields: NDArray[np.uint64], contrast: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Background [n, 3] and object colors [n, objects, 3]; all of a scene on the same side of the background.

    Parameters
    ----------
    scene : uint64 array [n, 3]
    fields : uint64 array [n, objects, 2]
    contrast : int
        Least difference in brightness.
    """
    bright = (scene[:, 0] % np.uint64(2) == 0)[:, None]
    level = np.where(bright[:, 0], integers(scene[:, 1], 20, 100), integers(scene[:, 1], 155, 235))
    gap = integers(fields[..., 0], contrast, 150)
    brightness = level[:, None] + np.where(bright, gap, -gap)
    tint = np.stack([integers(fields[..., 1] >> np.uint64(16 * c), -24, 24) for c in range(3)], axis=-1)
    ground = np.stack([integers(scene[:, 2] >> np.uint64(16 * c), -16, 16) for c in range(3)], axis=-1)
    return (level[:, None] + ground).astype(np.int32), (brightness[..., None] + tint).astype(np.int32)


def gradient(background: NDArray[np.int32], slopes: NDArray[np.uint64], size: int) -> NDArray[np.int32]:
    """Background [n, 3, size, size] with a linear gradient of up to 24 grey levels along each axis.

    Parameters
    ----------
    background : int32 array [n, 3]
    slopes : uint64 array [n, 2]
        Random words.
    size : int
        Height and width of a scene in pixels.
    """
    ramp = 2 * np.arange(size) - (size - 1)
    along_y, along_x = (integers(slopes[:, k], -24, 24)[:, None] * ramp // (2 * (size - 1)) for k in (0, 1))
    slope = (along_y[:, :, None] + along_x[:, None, :]).astype(np.int32)
    return background[:, :, None, None] + slope[:, None]


def blend(canvas: NDArray[np.int32], color: NDArray[np.int32], alpha: NDArray[np.int32]) -> None:
    """Lay objects [n, objects, 3] over the canvas [n, 3, size, size], one after the other, in place."""
    for k in range(color.shape[1]):
        canvas += (color[:, k, :, None, None] - canvas) * alpha[:, k, None] >> 8


def add_grain(canvas: NDArray[np.int32], words: NDArray[np.uint64], noise: int) -> NDArray[np.uint8]:
    """The canvas with one random byte per pixel as noise of up to ``noise`` grey levels, as uint8."""
    n, _, height, width = canvas.shape
    grain = words.astype("<u8").view(np.uint8).reshape(n, 1, height, width).astype(np.int32)
    return np.clip(canvas + ((grain - 128) * noise >> 7), 0, 255).astype(np.uint8)


def normalize(images: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 scenes [N, 3, H, W] to the float32 input of the bundled models, -1 to 1."""
    return torch.from_numpy(images).float().div_(127.5).sub_(1.0)
