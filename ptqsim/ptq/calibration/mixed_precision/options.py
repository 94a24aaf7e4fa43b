"""Options of mixed precision."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Final

from ptqsim.common.choice import Choice
from ptqsim.errors import ArgumentTypeError

MOST_PROBES: Final = 100_000
"""Random vectors at most; each takes two passes through the network, and the error falls with their square root."""


class Sensitivity(Choice):
    """Weight of the error of a module: the nuclear norm of its output, or the trace of the loss's Hessian."""

    NUCLEAR_NORM = "nuclear_norm"
    HESSIAN = "hessian"


class Attention(Choice):
    """Attention map of the nuclear norm: Q K^T, or its softmax."""

    SCORES = "scores"
    PROBABILITIES = "probabilities"


class Solver(Choice):
    """Choice of the widths: among those ordered by sensitivity, or by integer programming over all."""

    PARETO = "pareto"
    MILP = "milp"


@dataclass(frozen=True, kw_only=True)
class MixedPrecision:
    """Options of mixed precision (Liu et al. section 3.3), which goes with every method.

    All operations of an MSA or MLP module share a width, for weights and inputs, and Omega (Eq. 17) is the least that
    fits a model size.  Where the paper is silent: the model size is that of the packed weights; what is in neither kind
    of module (patch projection, classifier, Swin's patch merging) has the target's width; an error is that of a module
    whose input is exact and all of whose operations are quantized, the mean over the images; nuclear norms and errors
    of heads are added up; and the sensitivity reduces the search space in that a more sensitive module gets no fewer
    bits than a less sensitive one.

    Attributes
    ----------
    sensitivity : Sensitivity or {"nuclear_norm", "hessian"}
        Weight of the error of a module: the nuclear norm of its attention map or output (Liu et al. Eq. 17),
        or the trace of the loss's Hessian (their Table 4, after HAWQ-V2).
    attention : Attention or {"scores", "probabilities"}
        The attention map A of Eq. 17: Q K^T, as A is defined in Eq. 3; or its softmax, as the text describes
        it.  Scores are not bounded, so that their errors outweigh those of the MLPs' outputs in the sum.
    solver : Solver or {"pareto", "milp"}
        Choice of the widths: as in the paper, among those that give a more sensitive module no fewer bits; or as the
        optimum of the same sum over all widths, by integer programming.
    model_size : float, optional
        Largest size of the packed weights in megabytes (10**6 bytes); by default their size at uniform precision.
    widths : tuple of int, optional
        By default the target's width and up to two less and more: {4..8} for 6 and {6..10} for 8, as in section 4.1.
    probes : int
        Random vectors of the trace estimate.
    """

    sensitivity: Sensitivity | str = Sensitivity.NUCLEAR_NORM
    attention: Attention | str = Attention.SCORES
    solver: Solver | str = Solver.PARETO
    model_size: float | None = None
    widths: tuple[int, ...] | None = None
    probes: int = 32

    def __post_init__(self) -> None:
        for name, kind in (("sensitivity", Sensitivity), ("attention", Attention), ("solver", Solver)):
            object.__setattr__(self, name, kind.of(getattr(self, name)))
        sized = self.model_size is None or isinstance(self.model_size, Real)
        if not sized or isinstance(self.model_size, bool):
            raise ArgumentTypeError(f"model_size is {self.model_size!r}; legal is a number of MB, or None")
        widths: object = () if self.widths is None else self.widths
        if not isinstance(widths, Iterable) or not all(map(_is_integer, widths)):
            raise ArgumentTypeError(f"widths are {widths!r}; legal are integers from 2 to 16: try (4, 5, 6, 7, 8)")
        if not _is_integer(self.probes):
            raise ArgumentTypeError(f"probes is {self.probes!r}; legal is an integer of 1 or more: try 32")
        if self.model_size is not None and not 0 < self.model_size <= sys.float_info.max:
            raise ValueError(f"model_size is {self.model_size} MB; legal is a number above 0")
        if self.widths is not None and (not self.widths or not all(2 <= width <= 16 for width in self.widths)):
            raise ValueError(f"widths are {self.widths}; legal are one or more from 2 to 16: try (4, 5, 6, 7, 8)")
        if not 1 <= self.probes <= MOST_PROBES:
            raise ValueError(f"probes is {self.probes}; legal is 1 to {MOST_PROBES:,}: try 32")

    def widths_for(self, target: int) -> tuple[int, ...]:
        """The widths to choose from, least first."""
        chosen = self.widths if self.widths is not None else range(max(2, target - 2), min(16, target + 2) + 1)
        return tuple(sorted(set(chosen)))


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
