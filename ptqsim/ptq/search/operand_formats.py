"""Formats of an operand by name, in place of those of the method: small floats, logarithms, uniform and twin ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch

import ptqsim as pq
from ptqsim.formats.rounding import RangeChoice
from ptqsim.ptq.search.alternate import Space
from ptqsim.ptq.search.asymmetric import asymmetric, group_ranges
from ptqsim.ptq.search.candidates import Candidates, GeluPair, group_max, scales_of, twin_gelu, twin_softmax, uniform

KINDS: Final = ("softmax", "gelu", "activation", "weight")
"""Kinds of operands: activations after softmax, after GELU, all other activations, and weights."""
ROOTS: Final = (1, 2, 4)
"""Roots of two that logarithms have as base."""
MAX_SHIFT: Final = 11
"""Largest shift of a twin format after softmax, as in PTQ4ViT's section 4.1."""


@dataclass(frozen=True)
class NamedFormat:
    """Formats that a name stands for.

    Attributes
    ----------
    name : str
    kinds : tuple of str
        Kinds of operands that may have them.
    make : callable
        Candidates for values [G, ...], of a kind, of a width, with scales that are these multiples of the one that just
        covers the greatest value.
    bits : int or None
        Width of a code, where the name says it.
    most_bits : int
        Widest code whose integers a datapath takes.
    """

    name: str
    kinds: tuple[str, ...]
    make: Callable[[torch.Tensor, str, int, Sequence[float]], Space]
    bits: int | None = None
    most_bits: int = 16

    def candidates(self, x: torch.Tensor, kind: str, bits: int, ratios: Sequence[float]) -> Space:
        """Candidate formats of an operand.

        Parameters
        ----------
        x : float tensor [G, ...]
        kind : str
            One of :data:`KINDS`.
        bits : int
            Width, where the name says none.
        ratios : sequence of float
            Multiples of the scale that just covers the greatest value.
        """
        return self.make(x, kind, bits if self.bits is None else self.bits, ratios)


def minifloat(fmt: pq.Minifloat, maxima: Sequence[float], ratios: Sequence[float]) -> Candidates:
    """Scales with which the largest number stands for ratio * max, for each group."""
    scales = scales_of(maxima, ratios, replace(fmt, scale=1.0).real_max)
    grid = tuple(tuple(replace(fmt, scale=scale) for scale in row) for row in scales.tolist())
    return Candidates(grid, tuple((ratio,) * len(maxima) for ratio in ratios))


def _uniform(x: torch.Tensor, kind: str, bits: int, ratios: Sequence[float]) -> Space:
    return uniform(group_max(x), bits, ratios)


def _asymmetric(x: torch.Tensor, kind: str, bits: int, ratios: Sequence[float]) -> Space:
    return asymmetric(group_ranges(x), bits, ratios, placed=kind != "softmax")


def _twin(x: torch.Tensor, kind: str, bits: int, ratios: Sequence[float]) -> Space:
    if kind == "softmax":
        return twin_softmax(len(x), bits, MAX_SHIFT)
    return twin_gelu(group_max(x), bits, ratios, GeluPair.FIXED_NEGATIVE, RangeChoice.PAPER)


def _log2(root: int) -> Callable[[torch.Tensor, str, int, Sequence[float]], Space]:
    def make(x: torch.Tensor, kind: str, bits: int, ratios: Sequence[float]) -> Space:
        fmt = pq.Log2(bits, root=root)
        return Candidates(((fmt,) * len(x),), ((1.0,) * len(x),))

    return make


def _adaptive_log(x: torch.Tensor, kind: str, bits: int, ratios: Sequence[float]) -> Space:
    """Every base whose integers a datapath takes, so that each group gets its own (AdaLog, Wu et al., ECCV 2024)."""
    grid = tuple((pq.Log2(bits, root=root),) * len(x) for root in ROOTS if bits <= _most_bits(root))
    return Candidates(grid, ((1.0,) * len(x),) * len(grid))


def _most_bits(root: int) -> int:
    """Widest logarithm of that root whose integers a datapath takes."""
    return max(bits for bits in range(2, 9) if pq.Log2(bits, root=root).shift_alignable)


def _small_float(fmt: pq.Minifloat) -> Callable[[torch.Tensor, str, int, Sequence[float]], Space]:
    def make(x: torch.Tensor, kind: str, bits: int, ratios: Sequence[float]) -> Space:
        return minifloat(fmt, group_max(x), ratios)

    return make


_FLOATS: Final[Mapping[str, pq.Minifloat]] = {
    "e4m3": pq.E4M3, "e5m2": pq.E5M2, "e3m4": pq.E3M4, "e3m2": pq.E3M2, "e2m3": pq.E2M3, "e2m1": pq.E2M1,
}  # fmt: skip

NAMED_FORMATS: Final[dict[str, NamedFormat]] = {
    named.name: named
    for named in (
        NamedFormat("uniform", KINDS, _uniform),
        NamedFormat("asymmetric", KINDS[:-1], _asymmetric),
        NamedFormat("twin", ("softmax", "gelu"), _twin),
        *(
            NamedFormat(name, ("softmax",), _log2(root), most_bits=_most_bits(root))
            for name, root in (("log2", 1), ("log_sqrt2", 2), ("log_root4", 4))
        ),
        NamedFormat("adaptive_log", ("softmax",), _adaptive_log, most_bits=max(map(_most_bits, ROOTS))),
        *(NamedFormat(name, KINDS, _small_float(fmt), fmt.bits) for name, fmt in _FLOATS.items()),
    )
}
"""By name.  Small floats have their own widths; the others have the width that is asked for."""
