"""Candidates of an operand with a zero point, which are searched in two lines (docs/calibration.md).

The first line has all scales, with one zero point; the second all zero points, with the scale that was best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.ptq.network.products.fake_quant import Format
from ptqsim.ptq.search.candidates import Candidates, scales_of
from ptqsim.ptq.search.race import Chosen, Outcome

_STEPS: Final = 32
"""Most zero points that are tried."""


@dataclass(frozen=True)
class AsymmetricCandidates:
    """Candidate scales and zero points of unsigned codes.

    Candidate c * Z + j of group g has the scale ``scales[c, g]`` and the zero point ``zero_points[j, g]``.

    Attributes
    ----------
    bits : int
    scales : float64 array [C, G]
        Values of float32.
    multiples : float64 array [C, G]
        The scales as multiples of (h - l) / (2**bits - 1).
    zero_points : int64 array [Z, G]
        In ascending order.
    first : tuple of int
        Number of the zero point that the search begins with, for each group.
    """

    bits: int
    scales: NDArray[np.float64]
    multiples: NDArray[np.float64]
    zero_points: NDArray[np.int64]
    first: Chosen

    def __len__(self) -> int:
        """Number of candidates of both lines."""
        return len(self.scales) + (len(self.zero_points) if self.is_placed else 0)

    @property
    def groups(self) -> int:
        return int(self.scales.shape[1])

    @property
    def is_placed(self) -> bool:
        """True if there is more than one zero point, so that there is a second line."""
        return len(self.zero_points) > 1

    @property
    def typical(self) -> tuple[Format, ...]:
        """The scale in the middle, with the zero point that the search begins with."""
        return self.choose(self.joined([len(self.scales) // 2] * self.groups, self.first))

    def choose(self, chosen: Sequence[int]) -> tuple[Format, ...]:
        """The formats of candidate ``chosen[g]`` for each group g."""
        pairs = zip(*self.parts(chosen), strict=True)
        return tuple(self._format(c, j, g) for g, (c, j) in enumerate(pairs))

    def choose_normalized(self, chosen: Sequence[int]) -> tuple[float, ...]:
        """The multiples of candidate ``chosen[g]`` for each group g."""
        return tuple(float(self.multiples[c, g]) for g, c in enumerate(self.parts(chosen)[0]))

    def parts(self, chosen: Sequence[int]) -> tuple[Chosen, Chosen]:
        """Numbers of the scales and of the zero points of some candidates."""
        each = len(self.zero_points)
        return tuple(c // each for c in chosen), tuple(c % each for c in chosen)

    def joined(self, scales: Sequence[int], zero_points: Sequence[int]) -> Chosen:
        """The candidates with these scales and zero points."""
        each = len(self.zero_points)
        return tuple(c * each + j for c, j in zip(scales, zero_points, strict=True))

    def line_of_scales(self, zero_points: Sequence[int]) -> Candidates:
        """Candidates of all scales, with a zero point for each group."""
        groups = list(enumerate(zero_points))
        grid = tuple(tuple(self._format(c, j, g) for g, j in groups) for c in range(len(self.scales)))
        return Candidates(grid, tuple(map(tuple, self.multiples.tolist())))

    def line_of_zero_points(self, scales: Sequence[int]) -> Candidates:
        """Candidates of all zero points, with a scale for each group."""
        groups, rows = list(enumerate(scales)), range(len(self.zero_points))
        grid = tuple(tuple(self._format(c, j, g) for g, c in groups) for j in rows)
        multiples = tuple(float(self.multiples[c, g]) for g, c in groups)
        return Candidates(grid, (multiples,) * len(rows))

    def _format(self, scale: int, zero_point: int, group: int) -> pq.Uniform:
        place = int(self.zero_points[zero_point, group])
        return pq.Uniform(self.bits, float(self.scales[scale, group]), signed=False, zero_point=place)


Range = tuple[float, float]
"""Least and greatest value of a group, l <= 0 <= h."""


def group_ranges(x: torch.Tensor) -> list[Range]:
    """Range of each group of x [G, ...], zero included; a group of zeros counts as [0, 1], as any is exact for it."""
    flat = x.flatten(1)
    lows, highs = flat.amin(dim=1).clamp(max=0).tolist(), flat.amax(dim=1).clamp(min=0).tolist()
    return [(low, high) if low < high else (0.0, 1.0) for low, high in zip(lows, highs, strict=True)]


def asymmetric(
    ranges: Sequence[Range], bits: int, ratios: Sequence[float], *, placed: bool = True
) -> AsymmetricCandidates:
    """Scales ratio * (h - l) / (2**bits - 1), and zero points, for each group.

    Parameters
    ----------
    ranges : sequence of (l, h)
        Of each group; l = 0 gives the zero point 0.
    bits : int
    ratios : sequence of float
    placed : bool
        False for the one zero point of [l, h] only.
    """
    lows, highs = np.array(ranges, np.float64).T
    lengths, top = highs - lows, 2**bits - 1
    scales = scales_of(lengths, ratios, top)
    exact = np.rint(-lows / lengths * top).astype(np.int64)  # half to even
    stride = max(1, 2**bits // _STEPS)
    if not placed:
        return AsymmetricCandidates(bits, scales, scales / (lengths / top), exact[None], (0,) * len(exact))
    zero_points = exact % stride + stride * np.arange(2**bits // stride)[:, None]
    return AsymmetricCandidates(bits, scales, scales / (lengths / top), zero_points, tuple((exact // stride).tolist()))


def nearest_to(outcome: Outcome, held: Chosen) -> Chosen:
    """Of the candidates that share the best score the nearest to the one held, for each group; the first of equals."""
    return tuple(
        min(tied, key=lambda c, of=number: abs(c - of))  # type: ignore[misc]
        for tied, number in zip(outcome.tied, held, strict=True)
    )
