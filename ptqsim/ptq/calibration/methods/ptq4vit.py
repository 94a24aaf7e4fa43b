"""PTQ4ViT: twin uniform formats and the Hessian guided metric (ECCV 2022, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ptqsim.common.choice import Choice
from ptqsim.formats.rounding import RangeChoice
from ptqsim.ptq.calibration.methods.bit_split import check_bit_splitting
from ptqsim.ptq.calibration.methods.protocol import BitSplitting, ErrorCompensation, LinearSearch
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.network.tasks.gradients import Gradient
from ptqsim.ptq.search import candidates as search_space
from ptqsim.ptq.search.alternate import Space
from ptqsim.ptq.search.candidates import GeluPair
from ptqsim.ptq.search.objectives import Objective, find_objective


class WeightRounding(Choice):
    """Rounding of weights once the scales are found."""

    NEAREST = "nearest"
    BIT_SPLIT = "bit_split"
    GPTQ = "gptq"


@dataclass(frozen=True, kw_only=True)
class PTQ4ViT(LinearSearch):
    """PTQ4ViT, with each of its parts switchable (the paper's Table 3), and with bias correction (its Table 2).

    Where the paper is silent or its released code differs, docs/formats.md and docs/calibration.md decide: the two
    scales of every twin format are a power of two apart, the range is chosen, not summed, and the task loss has hard
    pseudo-labels.  What the released code does is the variant ``released``.  Bias correction is by Liu et al. Eq. 15;
    the paper cites Nagel et al., who estimate the same expectation without data.

    Attributes
    ----------
    hessian_guided : bool
        Hessian guided metric (Eq. 7); else cosine, as in Base PTQ.
    softmax_twin, gelu_twin : bool
        Twin formats after softmax and GELU (Eq. 4), also where other activations are asymmetric; else uniform, as
        these are.
    gradient : Gradient or {"pseudo_label", "sampled", "released", "random"}
        The labels of the task loss whose gradient weighs the errors (docs/calibration.md).
    gelu_pair : GeluPair or {"fixed_negative", "covering"}
        Rule by which the two GELU scales stay a power of two apart (docs/formats.md).
    max_shift : int
        Largest m of the softmax search; the paper's 11 is Delta_R1 = 2**-(bits+10).
    range_choice : RangeChoice or {"paper", "nearest"}
        Rule by which softmax codes choose their range, and which side ties go to (docs/formats.md).
    weight_rounding : WeightRounding or {"nearest", "bit_split", "gptq"}
        Rounding of weights after the scales are found; bit splitting (:mod:`ptqsim.ptq.calibration.rounding.bit_split`)
        reconstructs the output, all of whose rows count the same: weighed by gradients, 32 images are learned by heart.
        ``gptq`` makes up for the error of each row of a weight by those that are rounded after it (Frantar et al., ICLR
        2023).  Neither is in the paper.
    epochs, damping : int, float
        Options of bit splitting, as in :class:`~ptqsim.ptq.calibration.methods.bit_split.BitSplit`.
    sweeps : int
        Option of ``gptq``: sweeps of coordinate descent that follow, at most; 0 is GPTQ itself.
    """

    name: ClassVar[str] = "ptq4vit"

    alpha: float = 0.0
    rounds: int = 3
    hessian_guided: bool = True
    softmax_twin: bool = True
    gelu_twin: bool = True
    gradient: Gradient | str = Gradient.PSEUDO_LABEL
    gelu_pair: GeluPair | str = GeluPair.FIXED_NEGATIVE
    max_shift: int = 11
    range_choice: RangeChoice | str = RangeChoice.PAPER
    weight_rounding: WeightRounding | str = WeightRounding.NEAREST
    epochs: int = 20
    damping: float = 1.0
    sweeps: int = 0

    def __post_init__(self) -> None:
        LinearSearch.__post_init__(self)
        search_space.check_max_shift(self.max_shift)
        check_bit_splitting(self.epochs, self.damping)
        if not 0 <= self.sweeps <= 1000:
            raise ValueError(f"sweeps is {self.sweeps}; legal is 0 to 1000: try 0, which is GPTQ's")

    @property
    def bit_splitting(self) -> BitSplitting | None:
        return BitSplitting(self.epochs, self.damping) if self.weight_rounding == "bit_split" else None

    @property
    def error_compensation(self) -> ErrorCompensation | None:
        return ErrorCompensation(self.sweeps) if self.weight_rounding == "gptq" else None

    @property
    def task_loss(self) -> Gradient | None:
        return Gradient.of(self.gradient) if self.hessian_guided else None

    def idle_options(self, op: MatmulOperation) -> frozenset[str]:
        idle = set() if op.a_kind == "softmax" else {"softmax_twin"}
        if op.a_kind != "gelu":
            idle |= {"gelu_twin", "gelu_pair"}
        return frozenset(idle)

    def objective(self, op: MatmulOperation) -> Objective:
        return find_objective("hessian" if self.hessian_guided else "cosine")

    def a_candidates(self, op: MatmulOperation, a: torch.Tensor, bits: int, symmetric: bool = True) -> Space:
        if op.a_kind == "softmax" and self.softmax_twin:
            return search_space.twin_softmax(a.shape[0], bits, self.max_shift, self.range_choice)
        if op.a_kind == "gelu" and self.gelu_twin:
            maxima = search_space.group_max(a)
            return search_space.twin_gelu(maxima, bits, self.ratios(), self.gelu_pair, self.range_choice)
        return LinearSearch.a_candidates(self, op, a, bits, symmetric)
