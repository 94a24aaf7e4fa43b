"""Candidate formats of the scale search: lists with one column per group.

Every scale is a float32 value, so that fake quantization in float32 and the formats' own arithmetic agree to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.common.choice import Choice
from ptqsim.formats import ReleasedTwinGELU, ReleasedTwinSoftmax
from ptqsim.formats.rounding import RangeChoice
from ptqsim.formats.twin import GELU_MIN
from ptqsim.ptq.network.products.fake_quant import Format

MAX_SHIFT: Final = 24
"""Largest m of any search."""
WIDEST: Final = 2**16
"""Largest multiple of max / 2**(bits-1): beyond it every value of 16 bits is rounded to zero, below its inverse to an
end of the range."""
Scales = NDArray[np.float64]
"""[candidates, groups]."""
MOST: Final = 10_000
"""Candidates of a search."""


class GeluPair(Choice):
    """Rule by which the two scales of a GELU format stay a power of two apart: see :func:`twin_gelu`."""

    FIXED_NEGATIVE = "fixed_negative"
    COVERING = "covering"


@dataclass(frozen=True)
class Candidates:
    """Candidate formats of one operand.

    Attributes
    ----------
    formats : tuple of tuples
        ``formats[c][g]`` is candidate c of group g.
    normalized : tuple of tuples of float
        The same as multiples of max / 2**(bits-1) of the group, the x axis of PTQ4ViT's Fig. 5; of twin formats
        the scale of R2.
    """

    formats: tuple[tuple[Format, ...], ...]
    normalized: tuple[tuple[float, ...], ...]

    def __len__(self) -> int:
        return len(self.formats)

    @property
    def groups(self) -> int:
        return len(self.formats[0])

    @property
    def typical(self) -> tuple[Format, ...]:
        """The candidate in the middle."""
        return self.formats[len(self) // 2]

    def choose(self, chosen: Sequence[int]) -> tuple[Format, ...]:
        """The formats of candidate ``chosen[g]`` for each group g."""
        return tuple(self.formats[c][g] for g, c in enumerate(chosen))

    def choose_normalized(self, chosen: Sequence[int]) -> tuple[float, ...]:
        return tuple(self.normalized[c][g] for g, c in enumerate(chosen))


class UniformCandidates(Candidates):
    """Candidates that differ in their scales alone; the formats are made where they are asked for.

    Attributes
    ----------
    bits : int
    scales : float64 array [C, G]
        Values of float32.
    multiples : float64 array [C, G]
        `normalized` as an array.
    """

    def __init__(self, bits: int, scales: NDArray[np.float64], maxima: Sequence[float]) -> None:
        values = {"bits": bits, "scales": scales, "multiples": scales / (np.asarray(maxima) / 2 ** (bits - 1))}
        self.__dict__.update(values)

    bits: int
    scales: NDArray[np.float64]
    multiples: NDArray[np.float64]

    @cached_property
    def formats(self) -> tuple[tuple[Format, ...], ...]:
        return tuple(tuple(pq.Uniform(bits=self.bits, scale=s) for s in row) for row in self.scales.tolist())

    @cached_property
    def normalized(self) -> tuple[tuple[float, ...], ...]:
        return tuple(map(tuple, self.multiples.tolist()))

    def __len__(self) -> int:
        return len(self.scales)

    @property
    def groups(self) -> int:
        return int(self.scales.shape[1])


def group_max(x: torch.Tensor) -> list[float]:
    """max |x| of each group of x [G, ...]; a group of zeros counts as 1, as any scale is exact for it."""
    largest: list[float] = x.abs().flatten(1).amax(dim=1).tolist()
    return [value or 1.0 for value in largest]


def linear_ratios(alpha: float, beta: float, n: int) -> list[float]:
    """n multiples that divide (alpha, beta] evenly (PTQ4ViT section 3.1); beta is tried, alpha (which may be 0) not."""
    if not (0 <= alpha < beta and 1 / WIDEST <= beta <= WIDEST):
        raise ValueError(
            f"the search range is alpha={alpha}, beta={beta}; legal is 0 <= alpha < beta, beta from 1/{WIDEST} to "
            f"{WIDEST}: try 0 and 1.2"
        )
    if not 1 <= n <= MOST:
        raise ValueError(f"the number of candidates is n={n}; legal is 1 to {MOST}: try 100")
    return [alpha + (beta - alpha) * i / n for i in range(1, n + 1)]


def released_ratios(alpha: float, beta: float, n: int) -> list[float]:
    """The n multiples that PTQ4ViT's released code evaluates: alpha is tried, beta not."""
    return [alpha, *linear_ratios(alpha, beta, n)[:-1]]


def uniform(maxima: Sequence[float], bits: int, ratios: Sequence[float]) -> UniformCandidates:
    """Uniform scales ratio * max / 2**(bits-1), for each group."""
    return _uniform(maxima, bits, ratios, 2 ** (bits - 1))


def _uniform(maxima: Sequence[float], bits: int, ratios: Sequence[float], steps: float) -> UniformCandidates:
    return UniformCandidates(bits, scales_of(maxima, ratios, steps), maxima)


def scales_of(lengths: Sequence[float] | NDArray[np.float64], ratios: Sequence[float], steps: float) -> Scales:
    """Scales ratio * length / steps, [ratios, groups], rounded to float32 as by `_float32`."""
    with np.errstate(over="ignore"):
        scales = np.multiply.outer(ratios, lengths) / steps
        return np.maximum(scales.astype(np.float32), np.finfo(np.float32).tiny).astype(np.float64)


def twin_softmax(
    groups: int, bits: int, max_shift: int, range_choice: RangeChoice | str = RangeChoice.PAPER
) -> Candidates:
    """Delta_R1 in {2**-bits, ..., 2**-(bits - 1 + max_shift)}, that is m = 1 .. max_shift (section 4.1)."""
    check_max_shift(max_shift)
    grid = [[pq.TwinSoftmax(bits=bits, shift=m, range_choice=range_choice)] * groups for m in range(1, max_shift + 1)]
    return _candidates(grid, [1.0] * groups)


def check_max_shift(max_shift: int) -> None:
    """Refuse a shift out of range with a ValueError that says what is legal."""
    if not 1 <= max_shift <= MAX_SHIFT:
        raise ValueError(f"max_shift is {max_shift}; legal is 1 to {MAX_SHIFT}: the paper's is 11")


def twin_gelu(
    maxima: Sequence[float],
    bits: int,
    ratios: Sequence[float],
    pair: GeluPair | str,
    range_choice: RangeChoice | str = RangeChoice.PAPER,
) -> Candidates:
    """GELU pairs by the rule ``pair`` (docs/formats.md).

    ``fixed_negative``: Delta_R1 just covers the negatives, Delta_R2 = 2**m Delta_R1 moves in powers of two up to
    the first that covers the largest ratio.  ``covering``: Delta_R2 on the fine grid, Delta_R1 = Delta_R2 / 2**m with
    the largest m whose R1 still covers the negatives.
    """
    if GeluPair.of(pair, "gelu_pair") == "fixed_negative":
        scale = _float32_above(pq.TwinGELU.fixed_negative(bits, 0).scale)
        top = max(maxima) * max(ratios) / 2 ** (bits - 1)
        last = min(MAX_SHIFT, max(0, math.ceil(math.log2(top / scale))))
        grid = [
            [pq.TwinGELU(bits=bits, shift=m, scale=scale, range_choice=range_choice)] * len(maxima)
            for m in range(last + 1)
        ]
    else:
        grid = [
            [pq.TwinGELU.covering(bits, _float32(r * top / 2 ** (bits - 1)), max_shift=MAX_SHIFT) for top in maxima]
            for r in ratios
        ]
        chosen = pq.RangeChoice.of(range_choice)
        grid = [[replace(fmt, range_choice=chosen) for fmt in row] for row in grid]
    return _candidates(grid, maxima)


def released_uniform(maxima: Sequence[float], bits: int, ratios: Sequence[float]) -> UniformCandidates:
    """Uniform scales as in PTQ4ViT's released code: multiples of max / (2**(bits-1) - 1/2)."""
    return _uniform(maxima, bits, ratios, 2 ** (bits - 1) - 0.5)


def released_softmax(bits: int, splits: int) -> Candidates:
    """Splits 1, 1/2, ..., 2**-(splits - 1), one for all heads, as in PTQ4ViT's released code."""
    grid = [(ReleasedTwinSoftmax(bits=bits, split=2.0**-i),) for i in range(splits)]
    top = 2 ** (bits - 1)
    return Candidates(tuple(grid), tuple((top / (top - 1),) for _ in grid))


def released_gelu(maxima: Sequence[float], bits: int, ratios: Sequence[float]) -> Candidates:
    """A free scale for the positive range, and one for the negative that is tied to nothing (released code)."""
    half = 2 ** (bits - 1)
    negative = _float32(-GELU_MIN / half)
    grid = [tuple(ReleasedTwinGELU(bits, negative, _float32(r * top / (half - 0.5))) for top in maxima) for r in ratios]
    normalized = tuple(
        tuple(f.positive_scale / (top / half) for f, top in zip(row, maxima, strict=True)) for row in grid
    )
    return Candidates(tuple(grid), normalized)


def _candidates(grid: Sequence[Sequence[Format]], maxima: Sequence[float]) -> Candidates:
    normalized = tuple(
        tuple(f.scale * 2**f.shift / (top / 2 ** (f.bits - 1)) for f, top in zip(row, maxima, strict=True))
        for row in grid
    )
    return Candidates(tuple(map(tuple, grid)), normalized)


def _float32(value: float) -> float:
    """The nearest float32, and never zero."""
    return float(max(np.float32(value), np.finfo(np.float32).tiny))


def _float32_above(value: float) -> float:
    """The least float32 that is not below the value."""
    near = np.float32(value)
    return float(near if float(near) >= value else np.nextafter(near, np.float32(np.inf)))
