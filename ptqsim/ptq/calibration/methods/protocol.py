"""The protocol of calibration methods: search spaces, an objective, a schedule, and the steps after the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, ClassVar, Final, Protocol, cast

import torch

from ptqsim.common.choice import Choice
from ptqsim.errors import ArgumentTypeError
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.network.tasks.gradients import Gradient
from ptqsim.ptq.search import candidates as search_space
from ptqsim.ptq.search.alternate import SearchSchedule, Space, check_rounds
from ptqsim.ptq.search.asymmetric import asymmetric, group_ranges
from ptqsim.ptq.search.candidates import Candidates
from ptqsim.ptq.search.objectives import Objective


class Paradigm(Choice):
    """Input of a layer in calibration: that in the float network, or the output of the quantized layers before it."""

    PARALLEL = "parallel"
    SEQUENTIAL = "sequential"


LARGEST_WEIGHT: Final = 1_000_000
"""Largest weight of a term that a method adds to its objective; beyond it floats would lose the objective."""


@dataclass(frozen=True)
class BitSplitting:
    """Options of :mod:`ptqsim.ptq.calibration.rounding.bit_split`: sweeps at most, and damping."""

    epochs: int
    damping: float


@dataclass(frozen=True)
class ErrorCompensation:
    """Options of :mod:`ptqsim.ptq.calibration.rounding.gptq`: sweeps of coordinate descent that follow."""

    sweeps: int


@dataclass(frozen=True)
class Reconstruction:
    """Options of :mod:`ptqsim.ptq.calibration.reconstruction`; `ptqsim.ptq.Reconstruct` says what each does."""

    iterations: int
    batch: int
    drop: float
    fisher: bool
    rank: int
    by_layer: bool
    rounding_rate: float
    scale_rate: float
    bias_rate: float
    norm_rate: float
    regularizer: float
    distill: int


Trail = list[dict[str, Any]]
"""The trials of a selection: each addition, its held-out loss, and True if it was kept."""


class Select(Protocol):
    """The selection of a method's options on the calibration images; see `ptqsim.ptq.calibration.selection.select`."""

    def __call__(self, start: Method, additions: Sequence[Mapping[str, Any]], folds: int) -> tuple[Method, Trail]: ...


class Method(Protocol):
    """A post-training quantization method; a frozen dataclass whose fields are its options."""

    name: ClassVar[str]
    """Name of the method for ``--method``."""

    @property
    def paradigm(self) -> Paradigm | str:
        """Input of a layer in calibration: that of the float network, or that given by the quantized layers before."""

    @property
    def bias_correction(self) -> bool:
        """True to subtract the expected error of every output unit from the bias (Liu et al. Eq. 13 to 15)."""

    @property
    def bit_splitting(self) -> BitSplitting | None:
        """Rounding of weights after the search; None is to the nearest."""

    @property
    def error_compensation(self) -> ErrorCompensation | None:
        """Rounding of weights after the search with compensation of the error; None is to the nearest."""

    @property
    def reconstruction(self) -> Reconstruction | None:
        """Training of the network, block by block, after the search; None is none."""

    @property
    def task_loss(self) -> Gradient | None:
        """The task loss whose gradient the objective needs, or None."""

    @property
    def learns_rounding(self) -> bool:
        """True if the method chooses codes of weights otherwise than by rounding to the nearest."""

    @property
    def symmetric_only(self) -> str | None:
        """The reason why activations have no zero points; None where they may have."""

    def served_by(self, gradient: Gradient) -> bool:
        """True if a capture with the gradients of this task loss has all that the method needs."""

    def idle_options(self, op: MatmulOperation) -> frozenset[str]:
        """Options without influence on the search of this operation: methods that differ in them alone share it."""

    def prepare(self, select: Select) -> tuple[Method, Trail | None]:
        """The method whose layers are calibrated, and what was tried to find it; None where nothing was.

        Parameters
        ----------
        select : callable
            Adds options to a method as long as they lower the loss of held-out calibration images.
        """

    def objective(self, op: MatmulOperation) -> Objective:
        """Objective that the search minimizes."""

    def schedule(self, op: MatmulOperation) -> SearchSchedule:
        """Rounds of the search, and which operand comes first."""

    def a_candidates(self, op: MatmulOperation, a: torch.Tensor, bits: int, symmetric: bool = True) -> Space:
        """Candidate formats of the left operand a [Ga, ...]; if not symmetric, uniform ones are unsigned."""

    def b_candidates(self, op: MatmulOperation, b: torch.Tensor, bits: int, symmetric: bool = True) -> Space:
        """Candidate formats of the right operand b [Gb, ...], a weight, which is symmetric, or an activation."""


class Plain:
    """Base of methods that round to the nearest, need no gradient and try no options of their own."""

    @property
    def bit_splitting(self) -> BitSplitting | None:
        return None

    @property
    def error_compensation(self) -> ErrorCompensation | None:
        return None

    @property
    def reconstruction(self) -> Reconstruction | None:
        return None

    @property
    def task_loss(self) -> Gradient | None:
        return None

    @property
    def symmetric_only(self) -> str | None:
        return None

    @property
    def learns_rounding(self) -> bool:
        return any(step is not None for step in (self.bit_splitting, self.error_compensation, self.reconstruction))

    def served_by(self, gradient: Gradient) -> bool:
        return self.task_loss in (None, gradient)

    def idle_options(self, op: MatmulOperation) -> frozenset[str]:
        return frozenset()

    def prepare(self, select: Select) -> tuple[Method, Trail | None]:
        return cast("Method", self), None


@dataclass(frozen=True, kw_only=True)
class LinearSearch(Plain):
    """Base of methods whose candidate scales are evenly spaced; each sets its own defaults.

    The search spaces are [alpha, beta] * max / 2**(bits-1), divided into n (PTQ4ViT section 3.1, Liu et al. section
    3.2), or of asymmetric activations [alpha, beta] * (max - min) / (2**bits - 1) (docs/calibration.md); one scale per
    tensor, except that heads, and W_Q, W_K and W_V, have their own (PTQ4ViT section 4.1), and every
    column of a weight where scales per channel are asked for, which is then a group of its own here.

    Attributes
    ----------
    alpha, beta : float
        Search range in these multiples; beta is tried, alpha is not.
    n : int
        Number of candidates.
    rounds : int
        Rounds of the alternating search, at most.
    paradigm : Paradigm or {"parallel", "sequential"}
        What a layer sees (PTQ4ViT appendix 6.2): its input in the float network, or what the quantized layers before
        it give, for which all images go through the network at once.  What it should give is its output in the float
        network either way, so that a sequence of layers can make up for its errors; the papers leave that open.
    bias_correction : bool
        Take the expected error of every output unit off the bias, after each round of the search and at its end (Liu
        et al. Eq. 13 to 15).  Products of attention have no bias and are left as they are.
    """

    alpha: float = 0.5
    beta: float = 1.2
    n: int = 100
    rounds: int = 1
    paradigm: Paradigm | str = Paradigm.PARALLEL
    bias_correction: bool = False

    def __post_init__(self) -> None:
        settle_options(self)
        check_rounds(self.rounds)
        self.ratios()

    def schedule(self, op: MatmulOperation) -> SearchSchedule:
        return SearchSchedule(self.rounds, correct_bias=self.bias_correction)

    def a_candidates(self, op: MatmulOperation, a: torch.Tensor, bits: int, symmetric: bool = True) -> Space:
        if symmetric:
            return self.uniform(a, bits)
        # What comes from a softmax is not negative: its zero point is 0.
        return asymmetric(group_ranges(a), bits, self.ratios(), placed=op.a_kind != "softmax")

    def b_candidates(self, op: MatmulOperation, b: torch.Tensor, bits: int, symmetric: bool = True) -> Space:
        return self.uniform(b, bits) if symmetric else asymmetric(group_ranges(b), bits, self.ratios())

    def uniform(self, x: torch.Tensor, bits: int) -> Candidates:
        return search_space.uniform(search_space.group_max(x), bits, self.ratios())

    def ratios(self) -> list[float]:
        return search_space.linear_ratios(self.alpha, self.beta, self.n)


def check_weight(name: str, value: float, default: float) -> None:
    """Refuse a weight or margin out of range with a ValueError that says what is legal."""
    if not 0 <= value <= LARGEST_WEIGHT:
        raise ValueError(f"{name} is {value}; legal is 0 to {LARGEST_WEIGHT:,}: try {default:g}")


def settle_options(method: Any) -> None:
    """Check the type of every option against that of its default, and turn names into members of their `Choice`.

    Raises
    ------
    TypeError
        For an option of another type.
    ValueError
        For a name that is not legal.
    """
    for option in fields(method):
        value, kind = getattr(method, option.name), type(option.default)
        if issubclass(kind, Choice):
            object.__setattr__(method, option.name, kind.of(value, option.name))
            continue
        legal = {bool: "true or false", int: "an integer", float: "a number", str: "a name"}[kind]
        types = {int: Integral, float: Real}.get(kind, kind)
        if not isinstance(value, types) or isinstance(value, bool) != (kind is bool):
            raise ArgumentTypeError(
                f"option {option.name!r} of method {method.name!r} is {value!r}; legal is {legal}: the default is "
                f"{option.default!r}"
            )
        if kind in (int, float) and type(value) not in (int, float):  # checkpoints hold Python's numbers
            object.__setattr__(method, option.name, kind(value))
