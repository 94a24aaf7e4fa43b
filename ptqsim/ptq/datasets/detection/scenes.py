"""Detection scenes: one to six handwritten digits of many sizes over clutter, with a box around each.

Composed from the same scans as the classification scenes and by the same means
(:mod:`ptqsim.ptq.datasets.compositing`), so they too are the same bits on every machine, and the scans of ``train``,
``calibration`` and ``validation`` are disjoint.  Digits overlap by a fifth at most; a digit for which no such place is
found in eight draws is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.ptq.datasets.compositing import ONE, DataSplit, alpha_of, draw, integers, painted, pieces
from ptqsim.ptq.datasets.scenes import SceneStyle

SIZE: Final = 64
"""Height and width of a scene in pixels."""
CLASSES: Final = 10
DIGITS: Final = 6
"""Most digits in one scene."""

_CLUTTER: Final = 6  # most pieces of clutter in one scene; they lie below the digits
_OBJECTS: Final = _CLUTTER + DIGITS
_DRAWS: Final = 8  # places drawn for a digit
_FIELDS: Final = 8 + 2 * _DRAWS  # random words per object
_INK: Final = 64  # opacity, of 256, from which on a pixel belongs to a digit
_STREAM: Final = 2**63  # apart from the classification scenes' keys


@dataclass(frozen=True)
class DetectionScenes:
    """A batch of scenes.

    Attributes
    ----------
    images : uint8 array [N, 3, 64, 64]
    labels : int64 array [N, 6]
        The digits, 0 to 9; -1 where a scene has fewer than six.
    boxes : int64 array [N, 6, 4]
        Left, top, width and height in pixels of the smallest box around a digit's ink; zeros where there is none.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    boxes: NDArray[np.int64]


def make_detection_scenes(
    split: DataSplit | str, start: int, count: int, *, seed: int = 0, style: SceneStyle | None = None, chunk: int = 128
) -> DetectionScenes:
    """Compose scenes ``start`` to ``start + count - 1`` of a split.

    Parameters
    ----------
    split, start, count : DataSplit or str, int and int
        As for :func:`ptqsim.ptq.datasets.scenes.make_scenes`.
    seed : int
        Seed of the whole data set, 0 to 2**60 - 1.  The bundled model and all printed numbers use 0.
    style : SceneStyle, optional
        Difficulty of the scenes; by default that of the data set.
    chunk : int
        Scenes composed at a time; changes memory, never the result.

    Raises
    ------
    ValueError
        As for :func:`ptqsim.ptq.datasets.scenes.make_scenes`.
    """
    chosen = DataSplit.of(split, "split")
    parts = [
        _compose(chosen, first, size, seed, style or SceneStyle())
        for first, size in pieces(chosen, start, count, seed, 2**60, chunk)
    ]
    return DetectionScenes(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("images", "labels", "boxes")))


def _compose(split: DataSplit, start: int, n: int, seed: int, style: SceneStyle) -> DetectionScenes:
    drawn = draw(
        split, _STREAM + seed * 4, start, n, clutter=_CLUTTER, objects=_OBJECTS, fields=_FIELDS, banded=3, size=SIZE
    )
    scene, fields = drawn.scene, drawn.fields
    is_digit = np.arange(_OBJECTS) >= _CLUTTER

    size = _sizes(fields[..., 1])
    height = size
    width = size * integers(fields[..., 2], 75, 105) // 100
    center_y, center_x, fits = _places(fields[..., 8:], height, width)
    shown = np.where(
        is_digit,
        fits & (np.arange(_OBJECTS) - _CLUTTER < integers(scene[:, :1], 1, DIGITS)),
        np.arange(_OBJECTS) < integers(scene[:, 6:7], 0, style.clutter),
    )
    alpha = alpha_of(drawn.scans, center_y, center_x, height, width, SIZE)
    alpha[~shown] = 0

    images = painted(drawn, alpha, 6, style.contrast, style.noise)
    boxes = _boxes(alpha[:, _CLUTTER:])
    labels = np.where(shown[:, _CLUTTER:], drawn.digits[:, _CLUTTER:], -1)
    order = np.argsort(labels < 0, axis=1, kind="stable")  # the digits that are there first
    return DetectionScenes(
        images, np.take_along_axis(labels, order, axis=1), np.take_along_axis(boxes, order[..., None], axis=1)
    )


def _sizes(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Extents of scans [n, objects]; small digits are more frequent, as the lesser of two draws."""
    low, high = 14 * ONE, np.where(np.arange(_OBJECTS) < _CLUTTER, 20 * ONE, 32 * ONE)
    draws = (words & np.uint64(0xFFFFFFFF), words >> np.uint64(32))
    return low + np.minimum(*((d % (high - low + 1).astype(np.uint64)).astype(np.int64) for d in draws))


def _places(
    words: NDArray[np.uint64], height: NDArray[np.int64], width: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Centers [n, objects] inside the scene, and whether the place is free of the digits placed before.

    ``words`` is [n, objects, 2 * draws].  Clutter takes its first draw.
    """
    n = len(words)
    center_y, center_x = np.zeros_like(height), np.zeros_like(width)
    fits = np.zeros((n, _OBJECTS), bool)
    for k in range(_OBJECTS):
        h, w = height[:, k, None], width[:, k, None]
        span_y, span_x = (SIZE * ONE - e for e in (h, w))
        y = h // 2 + (words[:, k, :_DRAWS] % (span_y + 1).astype(np.uint64)).astype(np.int64)
        x = w // 2 + (words[:, k, _DRAWS:] % (span_x + 1).astype(np.uint64)).astype(np.int64)
        free = np.ones((n, _DRAWS), bool)
        for j in range(_CLUTTER, k):
            # a digit fills about two thirds of its scan's width
            reach_y = np.clip((h + height[:, j, None]) // 2 - np.abs(y - center_y[:, j, None]), 0, None)
            reach_x = np.clip((w + width[:, j, None]) // 3 - np.abs(x - center_x[:, j, None]), 0, None)
            smaller = np.minimum(h * w, (height * width)[:, j, None]) * 2 // 3
            free &= ~fits[:, j, None] | (5 * reach_y * reach_x <= smaller)
        first = np.argmax(free, axis=1)
        rows = np.arange(n)
        center_y[:, k], center_x[:, k], fits[:, k] = y[rows, first], x[rows, first], free[rows, first]
    return center_y, center_x, fits


def _boxes(alpha: NDArray[np.int32]) -> NDArray[np.int64]:
    """Left, top, width and height [n, digits, 4] of the ink."""
    ink = alpha >= _INK
    edges = []
    for axis in (2, 3):  # over rows: which columns have ink; over columns: which rows
        along: NDArray[np.bool_] = np.any(ink, axis=axis)
        edges += [along.argmax(axis=-1), SIZE - along[..., ::-1].argmax(axis=-1)]
    left, right, top, bottom = edges
    boxes: NDArray[np.int64] = np.stack([left, top, right - left, bottom - top], axis=-1).astype(np.int64)
    boxes[~np.any(ink, axis=(2, 3))] = 0
    return boxes
