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
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.ptq.datasets.compositing import ONE, DataSplit, alpha_of, draw, integers, painted, pieces

SIZE: Final = 32
"""Height and width of a scene in pixels."""
CLASSES: Final = 100

_PATCH: Final = 4
_CLUTTER: Final = 6  # most pieces of clutter in one scene
_OBJECTS: Final = _CLUTTER + 2  # the clutter lies below the two digits
_FIELDS: Final = 12  # random words per object


@dataclass(frozen=True)
class SceneStyle:
    """Difficulty of the scenes. The defaults are those of the data set; training uses other styles.

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
        Content of each 4x4 patch: d for digit d of the tens, 10 + d for digit d of the units, 20 for neither.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    patches: NDArray[np.int64]


def make_scenes(
    split: DataSplit | str, start: int, count: int, *, seed: int = 0, style: SceneStyle | None = None, chunk: int = 512
) -> Scenes:
    """Compose scenes ``start`` to ``start + count - 1`` of a split.

    Parameters
    ----------
    split : DataSplit or {"train", "calibration", "validation"}
        The split, whose source scans are used; no scan is in two splits.
    start, count : int
        The range of scenes; ``calibration`` has 1,000 and ``validation`` 10,000 of them.
    seed : int
        Seed of the whole data set, 0 to 2**63 - 1.  The bundled models and all printed numbers use 0.
    style : SceneStyle, optional
        Difficulty of the scenes; by default that of the data set.
    chunk : int
        Scenes composed at a time; changes memory, never the result.

    Raises
    ------
    ValueError
        For an unknown split, a range outside of it, or a seed out of range.
    """
    chosen = DataSplit.of(split, "split")
    parts = [
        _compose(chosen, first, size, seed, style or SceneStyle())
        for first, size in pieces(chosen, start, count, seed, 2**63, chunk)
    ]
    return Scenes(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("images", "labels", "patches")))


def _compose(split: DataSplit, start: int, n: int, seed: int, style: SceneStyle) -> Scenes:
    drawn = draw(split, seed * 4, start, n, clutter=_CLUTTER, objects=_OBJECTS, fields=_FIELDS, banded=6, size=SIZE)
    fields = drawn.fields
    is_digit = np.arange(_OBJECTS) >= _CLUTTER
    size = np.where(is_digit, integers(fields[..., 1], 11 * ONE, 17 * ONE), integers(fields[..., 1], 8 * ONE, 17 * ONE))
    height = size * integers(fields[..., 2], 90, 115) // 100
    width = size * integers(fields[..., 3], 75, 105) // 100
    center_y = np.where(is_digit, integers(fields[..., 4], 10 * ONE, 22 * ONE), integers(fields[..., 4], 0, 32 * ONE))
    center_x = integers(fields[..., 5], 0, 32 * ONE)
    for k, (low, high) in ((_CLUTTER, (7, 11)), (_CLUTTER + 1, (21, 25))):  # tens on the left, units on the right
        center_x[:, k] = integers(fields[:, k, 5], low * ONE, high * ONE)

    alpha = alpha_of(drawn.scans, center_y, center_x, height, width, SIZE)
    shown = np.arange(_OBJECTS) < integers(drawn.scene[:, :1], 0, style.clutter)
    alpha[~(shown | is_digit)] = 0

    images = painted(drawn, alpha, 9, style.contrast, style.noise)
    tens, units = drawn.digits[:, _CLUTTER], drawn.digits[:, _CLUTTER + 1]
    return Scenes(images, 10 * tens + units, _patch_labels(alpha[:, _CLUTTER:], tens, units))


def _patch_labels(alpha: NDArray[np.int32], tens: NDArray[np.int64], units: NDArray[np.int64]) -> NDArray[np.int64]:
    """Content of each patch, from the digits' coverage ``alpha`` [n, 2, 32, 32]."""
    side = SIZE // _PATCH
    cover = alpha.reshape(-1, 2, side, _PATCH, side, _PATCH).sum(axis=(3, 5)).reshape(-1, 2, side * side)
    role = np.where(cover[:, 0] >= cover[:, 1], tens[:, None], 10 + units[:, None])
    return np.where(cover.max(axis=1) >= _PATCH * _PATCH * 16, role, 20)
