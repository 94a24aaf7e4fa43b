"""The alternating search of scales from the papers: the full grid, over whole outputs, in NumPy and float64.

An oracle: nothing here is ptqsim's. As the formats define it, a scale is a float32 number and values are divided by it
in float32; decoding, products and scores are float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


class Grid(NamedTuple):
    """Uniform (PTQ4ViT, Eq. 2) or twin uniform quantization (Eq. 4); a shift says how much coarser R2 is than R1."""

    kind: str
    bits: int
    scale: float
    shift: int = 0

    def round(self, x: NDArray[np.float32]) -> Values:
        """The nearest points of the grid."""
        half = 2 ** (self.bits - 1)
        fine, coarse = self.scale, self.scale * 2**self.shift
        match self.kind:
            case "uniform":
                return steps(x, fine, -half, half - 1)
            case "softmax":
                return np.where(x < half * fine, steps(x, fine, 0, half - 1), steps(x, coarse, 0, half - 1))
            case "gelu":
                return np.where(x < 0, -steps(-x, fine, 0, half - 1), steps(x, coarse, 0, half - 1))
        raise ValueError(self.kind)


def steps(x: NDArray[np.float32], scale: float, lowest: int, highest: int) -> Values:
    return np.clip(np.rint(x / np.float32(scale)), lowest, highest).astype(np.float64) * scale


def uniform_grids(x: NDArray[np.float32], bits: int, ratios: Sequence[float]) -> list[list[Grid]]:
    """[candidate][group]: multiples of max / 2**(bits-1), for every group of x [G, ...]."""
    largest = [float(np.abs(group).max()) for group in x]
    return [[Grid("uniform", bits, float(np.float32(r * top / 2 ** (bits - 1)))) for top in largest] for r in ratios]


def softmax_grids(groups: int, bits: int, shifts: int = 11) -> list[list[Grid]]:
    """Delta_R2 = 2**-(bits-1), and Delta_R1 a power of two below it (PTQ4ViT, section 4.1)."""
    return [[Grid("softmax", bits, 2.0 ** -(bits - 1 + m), m)] * groups for m in range(1, shifts + 1)]


def gelu_grids(x: NDArray[np.float32], bits: int, largest_ratio: float) -> list[list[Grid]]:
    """Delta_R1 that just covers GELU's negative values; Delta_R2 2**m times that, up to the largest of the range."""
    exact = 0.16997124254703522 / (2 ** (bits - 1) - 1)
    nearest = np.float32(exact)
    scale = float(nearest) if float(nearest) >= exact else float(np.nextafter(nearest, np.float32(1)))
    last = max(0, math.ceil(math.log2(largest_ratio * float(np.abs(x).max()) / 2 ** (bits - 1) / scale)))
    return [[Grid("gelu", bits, scale, m)] * len(x) for m in range(last + 1)]


def scores(name: str, out: Values, found: Values, grad: Values | None, images: int) -> Values:
    """The objective of each group of an output [G, ...]."""
    if name == "hessian":  # PTQ4ViT, Eq. 7
        assert grad is not None
        return ((grad * (found - out)) ** 2).reshape(len(out), -1).sum(axis=1)
    if name == "cosine":
        return 1 - cosines(out.reshape(len(out), -1), found.reshape(len(out), -1))
    assert name == "similarity"  # Liu et al., Eq. 11 and 12
    o, f = (x.reshape(len(out), images, -1) for x in (out, found))
    return (1 - cosines(o - o.mean(axis=2, keepdims=True), f - f.mean(axis=2, keepdims=True))).sum(axis=1)


def cosines(x: Values, y: Values) -> Values:
    cosine: Values = (x * y).sum(axis=-1) / np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    return cosine


def search(
    operands: Sequence[NDArray[np.float32]],
    grids: Sequence[list[list[Grid]]],
    objective: str,
    grad: NDArray[np.float32] | None,
    *,
    images: int,
    rounds: int,
    first: int = 0,
) -> list[list[Grid]]:
    """The best grids of a [Ga, ..., M, K] and of b [Gb, ..., K, N], one for each group.

    PTQ4ViT's Algorithm 1, lines 7 to 14: from max / 2**(bits-1) on, the candidates of one operand are tried with the
    other as it is, then those of the other. Where an operand has one scale for several groups, their scores are added.
    """
    out = np.matmul(*(x.astype(np.float64) for x in operands))
    weights = None if grad is None else grad.astype(np.float64)
    chosen = [uniform_grids(x, grid[0][0].bits, [1.0])[0] for x, grid in zip(operands, grids, strict=True)]
    rounded = [rounded_by(x, grid) for x, grid in zip(operands, chosen, strict=True)]
    for _ in range(rounds):
        for operand in (first, 1 - first):
            x, candidates = operands[operand], grids[operand]
            table = []
            for candidate in candidates:
                rounded[operand] = rounded_by(x, candidate)
                table.append(scores(objective, out, np.matmul(*rounded), weights, images))
            each = np.array(table)  # [candidate, group of the output]
            best = (each if len(x) > 1 else each.sum(axis=1, keepdims=True)).argmin(axis=0)
            chosen[operand] = [candidates[c][g] for g, c in enumerate(best)]
            rounded[operand] = rounded_by(x, chosen[operand])
    return chosen


def rounded_by(x: NDArray[np.float32], grid: Sequence[Grid]) -> Values:
    return np.stack([one.round(group) for one, group in zip(grid, x, strict=True)])
