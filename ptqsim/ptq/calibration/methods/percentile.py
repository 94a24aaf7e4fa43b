"""Percentile: the range of a tensor is a percentile of its magnitudes (the baseline of Liu et al. Table 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from ptqsim.ptq.calibration.methods.protocol import Paradigm, Plain, settle_options
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.search import candidates as search_space
from ptqsim.ptq.search.alternate import SearchSchedule, Space
from ptqsim.ptq.search.asymmetric import AsymmetricCandidates, Range, asymmetric, group_ranges
from ptqsim.ptq.search.candidates import Candidates
from ptqsim.ptq.search.objectives import Objective, find_objective


@dataclass(frozen=True, kw_only=True)
class Percentile(Plain):
    """Clipping at a percentile; nothing is searched, so that the search has one candidate per operand.

    Deviation: Liu et al. name neither their percentile nor whether weights are clipped.  Here activations are clipped
    at the 99.9th, weights are not.

    Attributes
    ----------
    a_percentile, w_percentile : float
        Percent of the magnitudes of activations and weights that stay in range, above 0 and up to 100; of asymmetric
        activations percent of the values, of which as many may be left out on one side as on the other.
    paradigm, bias_correction : Paradigm and bool
        As in :class:`~ptqsim.ptq.calibration.methods.protocol.LinearSearch`.
    """

    name: ClassVar[str] = "percentile"

    a_percentile: float = 99.9
    w_percentile: float = 100.0
    paradigm: Paradigm | str = Paradigm.PARALLEL
    bias_correction: bool = False

    def __post_init__(self) -> None:
        settle_options(self)
        for name, value in (("a_percentile", self.a_percentile), ("w_percentile", self.w_percentile)):
            if not 0 < value <= 100:
                raise ValueError(f"{name} is {value}; legal is above 0 and up to 100: try 99.9")

    def objective(self, op: MatmulOperation) -> Objective:
        return find_objective("mse")

    def schedule(self, op: MatmulOperation) -> SearchSchedule:
        return SearchSchedule(rounds=1)

    def a_candidates(self, op: MatmulOperation, a: torch.Tensor, bits: int, symmetric: bool = True) -> Space:
        if symmetric:
            return _clipped(a, bits, self.a_percentile)
        return _clipped_on_both_sides(a, bits, self.a_percentile, positive=op.a_kind == "softmax")

    def b_candidates(self, op: MatmulOperation, b: torch.Tensor, bits: int, symmetric: bool = True) -> Space:
        percentile = self.a_percentile if op.constant_b is None else self.w_percentile
        return _clipped(b, bits, percentile) if symmetric else _clipped_on_both_sides(b, bits, percentile)


def _clipped(x: torch.Tensor, bits: int, percentile: float) -> Candidates:
    tops = [
        magnitude_percentile(group, percentile) or top for group, top in zip(x, search_space.group_max(x), strict=True)
    ]
    return search_space.uniform(tops, bits, [1.0])


def _clipped_on_both_sides(
    x: torch.Tensor, bits: int, percentile: float, positive: bool = False
) -> AsymmetricCandidates:
    ranges: list[Range] = []
    for group, whole in zip(x, group_ranges(x), strict=True):
        high = _percentile(group, percentile if positive else (100 + percentile) / 2)
        low = 0.0 if positive else -_percentile(-group, (100 + percentile) / 2)
        low, high = min(low, 0.0), max(high, 0.0)
        ranges.append((low, high) if low < high else whole)
    return asymmetric(ranges, bits, [1.0], placed=False)


def magnitude_percentile(x: torch.Tensor, percentile: float) -> float:
    """The least magnitude of x that at least ``percentile`` percent of the magnitudes do not exceed."""
    return _percentile(x.abs(), percentile)


def _percentile(x: torch.Tensor, percentile: float) -> float:
    """The least value of x that at least ``percentile`` percent of the values do not exceed."""
    values = x.flatten()
    rank = max(1, math.ceil(percentile / 100 * len(values)))
    return float(values.kthvalue(rank).values)
