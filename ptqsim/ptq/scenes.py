"""Digit scenes: the bundled data set, composed from real handwritten digits.

scikit-learn ships 1,797 scans of handwritten digits (UCI "Optical Recognition of Handwritten Digits", 8x8 pixels,
17 grey levels).  A scene is a 32x32 color image with two of them, side by side, over clutter cut from other digits;
its class is the two-digit number, 0 to 99.  Size, aspect, position, color and contrast vary.

Scenes are made on demand, the same bits on every machine:

- randomness is the raw output of the counter-based Philox generator, whose stream NumPy guarantees; scene ``i`` owns
  words ``[i * W, (i + 1) * W)`` of it, so a scene does not depend on how many others are made, or in what order;
- everything after that is integer arithmetic.  The one floating-point step is a matrix product of small integers
  whose partial sums stay below 2**24, hence exact in float32 in any order of summation.

The source scans of ``train``, ``calibration`` and ``validation`` are disjoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ptqsim.errors import unknown_name

Split = Literal["train", "calibration", "validation"]

SIZE: Final = 32
"""Height and width of a scene in pixels."""
CLASSES: Final = 100
SPLIT_SIZES: Final[dict[Split, int]] = {"train": 2**62, "calibration": 1_000, "validation": 10_000}

_PATCH: Final = 4
_CLUTTER: Final = 6  # most pieces of clutter in one scene
_OBJECTS: Final = _CLUTTER + 2  # the clutter lies below the two digits
_FIELDS: Final = 12  # random words per object
_NOISE_WORDS: Final = SIZE * SIZE // 8  # one random byte per pixel
_WORDS: Final = 8 + _OBJECTS * _FIELDS + _NOISE_WORDS  # a multiple of 4, as Philox makes 4 words per step
_ONE: Final = 64  # fixed-point one of the interpolation weights


@dataclass(frozen=True)
class SceneStyle:
    """How hard the scenes are; the defaults are the data set; training uses other styles.

    Attributes
    ----------
    clutter : int
        Most pieces of clutter in a scene, 0 to 6.
    contrast : int
        Least difference in brightness of a digit and its background, 1 to 150 of 255.
    noise : int
        Largest absolute value of the pixel noise, in grey levels, 0 to 64.
    """

    clutter: int = 4
    contrast: int = 50
    noise: int = 12

    def __post_init__(self) -> None:
        for name, low, high in (("clutter", 0, _CLUTTER), ("contrast", 1, 150), ("noise", 0, 64)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; legal is {low} to {high}: choose a value in that range")


@dataclass(frozen=True)
class Scenes:
    """A batch of scenes.

    Attributes
    ----------
    images : uint8 array [N, 3, 32, 32]
    labels : int64 array [N]
        The two-digit number, 0 to 99.
    patches : int64 array [N, 64]
        What each 4x4 patch shows: digit d of the tens as d, of the units as 10 + d, neither as 20.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    patches: NDArray[np.int64]


def make_scenes(
    split: Split, start: int, count: int, *, seed: int = 0, style: SceneStyle | None = None, chunk: int = 512
) -> Scenes:
    """Compose scenes ``start`` to ``start + count - 1`` of a split.

    Parameters
    ----------
    split : {"train", "calibration", "validation"}
        Which source scans are used; the three share none.
    start, count : int
        The range of scenes; ``calibration`` has 1,000 and ``validation`` 10,000 of them.
    seed : int
        Seed of the whole data set, 0 to 2**63 - 1.  The bundled models and all printed numbers use 0.
    style : SceneStyle, optional
        How hard the scenes are; the default is the data set itself.
    chunk : int
        Scenes composed at a time; changes memory, never the result.

    Raises
    ------
    ValueError
        For an unknown split, a range outside of it, or a seed out of range.
    """
    if split not in get_args(Split):
        raise unknown_name("split", split, get_args(Split))
    if start < 0 or count < 1 or start + count > SPLIT_SIZES[split]:
        raise ValueError(
            f"scenes {start} to {start + count - 1} of split {split!r} were asked for; it has scenes 0 to "
            f"{SPLIT_SIZES[split] - 1}: ask for at least one scene, within that range"
        )
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed is {seed}; legal is 0 to 2**63 - 1: choose a seed in that range")
    parts = [
        _compose(split, first, min(chunk, start + count - first), seed, style or SceneStyle())
        for first in range(start, start + count, chunk)
    ]
    return Scenes(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("images", "labels", "patches")))


@lru_cache(maxsize=3)
def _sources(split: Split) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
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


def _compose(split: Split, start: int, n: int, seed: int, style: SceneStyle) -> Scenes:
    scans, digits = _sources(split)
    # the split is part of the key: the same scene number of two splits is laid out differently too
    words = _random_words(seed * 4 + get_args(Split).index(split), start, n)
    scene, objects, noise = np.split(words, [8, 8 + _OBJECTS * _FIELDS], axis=1)
    fields = objects.reshape(n, _OBJECTS, _FIELDS)
    which = (fields[..., 0] % np.uint64(len(scans))).astype(np.int64)
    sources = scans[which] * _window(fields)

    is_digit = np.arange(_OBJECTS) >= _CLUTTER
    size = np.where(
        is_digit, _uniform(fields[..., 1], 11 * _ONE, 17 * _ONE), _uniform(fields[..., 1], 8 * _ONE, 17 * _ONE)
    )
    height = size * _uniform(fields[..., 2], 90, 115) // 100
    width = size * _uniform(fields[..., 3], 75, 105) // 100
    center_y = np.where(
        is_digit, _uniform(fields[..., 4], 10 * _ONE, 22 * _ONE), _uniform(fields[..., 4], 0, 32 * _ONE)
    )
    center_x = _uniform(fields[..., 5], 0, 32 * _ONE)
    for k, (low, high) in ((_CLUTTER, (7, 11)), (_CLUTTER + 1, (21, 25))):  # tens on the left, units on the right
        center_x[:, k] = _uniform(fields[:, k, 5], low * _ONE, high * _ONE)

    # alpha in 0..16*64*64: separable bilinear interpolation of the 8x8 scan, all products and sums exact in float32
    alpha = (_weights(center_y, height) @ sources @ _weights(center_x, width).swapaxes(-1, -2)).astype(np.int32) >> 8
    shown = np.arange(_OBJECTS) < _uniform(scene[:, :1], 0, style.clutter)
    alpha[~(shown | is_digit)] = 0

    background, color = _colors(scene, fields, style.contrast)
    canvas = _gradient(background, scene)
    for k in range(_OBJECTS):
        a = alpha[:, k, None]
        canvas += (color[:, k, :, None, None] - canvas) * a >> 8
    grain = noise.astype("<u8").view(np.uint8).reshape(n, 1, SIZE, SIZE).astype(np.int32)
    canvas += (grain - 128) * style.noise >> 7

    tens, units = digits[which[:, _CLUTTER]], digits[which[:, _CLUTTER + 1]]
    images = np.clip(canvas, 0, 255).astype(np.uint8)
    return Scenes(images, 10 * tens + units, _patch_labels(alpha[:, _CLUTTER:], tens, units))


def _random_words(key: int, start: int, n: int) -> NDArray[np.uint64]:
    stream = np.random.Philox(key=key)
    stream.advance(start * _WORDS // 4)
    words: NDArray[np.uint64] = stream.random_raw(n * _WORDS)
    return words.reshape(n, _WORDS)


def _uniform(words: NDArray[np.uint64], low: int, high: int) -> NDArray[np.int64]:
    """Integers low..high, both included."""
    return low + (words % np.uint64(high - low + 1)).astype(np.int64)


def _window(fields: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Mask [n, objects, 8, 8]: clutter shows a band of 3 or 4 rows or columns of a scan, so that no digit is whole."""
    first = _uniform(fields[..., 6], 0, 4)[..., None]
    length = _uniform(fields[..., 7], 3, 4)[..., None]
    band = (np.arange(8) >= first) & (np.arange(8) < first + length)
    upright = (fields[..., 8] % np.uint64(2) == 0)[..., None, None]
    mask = np.where(upright, band[..., None, :], band[..., :, None]) & np.ones((8, 8), bool)
    mask[:, _CLUTTER:] = True
    return mask.astype(np.float32)


def _weights(center: NDArray[np.int64], extent: NDArray[np.int64]) -> NDArray[np.float32]:
    """Hat-function weights [n, objects, 32, 8] in 0..64, the scan being ``extent`` / 64 pixels long."""
    pixel = np.arange(SIZE) * _ONE + _ONE // 2
    position = (pixel - center[..., None]) * (8 * _ONE) // extent[..., None] + 4 * _ONE - _ONE // 2
    distance = np.abs(position[..., None] - np.arange(8) * _ONE)
    weights: NDArray[np.float32] = np.maximum(_ONE - distance, 0).astype(np.float32)
    return weights


def _colors(
    scene: NDArray[np.uint64], fields: NDArray[np.uint64], contrast: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Background [n, 3] and object colors [n, objects, 3]; all of a scene on the same side of the background."""
    bright = (scene[:, 1] % np.uint64(2) == 0)[:, None]
    level = np.where(bright[:, 0], _uniform(scene[:, 2], 20, 100), _uniform(scene[:, 2], 155, 235))
    gap = _uniform(fields[..., 9], contrast, 150)
    brightness = level[:, None] + np.where(bright, gap, -gap)
    tint = np.stack([_uniform(fields[..., 10] >> np.uint64(16 * c), -24, 24) for c in range(3)], axis=-1)
    ground = np.stack([_uniform(scene[:, 3] >> np.uint64(16 * c), -16, 16) for c in range(3)], axis=-1)
    return (level[:, None] + ground).astype(np.int32), (brightness[..., None] + tint).astype(np.int32)


def _gradient(background: NDArray[np.int32], scene: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Background [n, 3, 32, 32] with a linear gradient of up to 24 grey levels along each axis."""
    ramp = 2 * np.arange(SIZE) - (SIZE - 1)
    along_y, along_x = (_uniform(scene[:, k], -24, 24)[:, None] * ramp // 62 for k in (4, 5))
    slope = (along_y[:, :, None] + along_x[:, None, :]).astype(np.int32)
    return background[:, :, None, None] + slope[:, None]


def _patch_labels(alpha: NDArray[np.int32], tens: NDArray[np.int64], units: NDArray[np.int64]) -> NDArray[np.int64]:
    """What each patch shows, from the digits' coverage ``alpha`` [n, 2, 32, 32]."""
    side = SIZE // _PATCH
    cover = alpha.reshape(-1, 2, side, _PATCH, side, _PATCH).sum(axis=(3, 5)).reshape(-1, 2, side * side)
    role = np.where(cover[:, 0] >= cover[:, 1], tens[:, None], 10 + units[:, None])
    return np.where(cover.max(axis=1) >= _PATCH * _PATCH * 16, role, 20)
