"""PTQ4ViT: twin uniform formats and the Hessian guided metric (ECCV 2022, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ptqsim.ptq import search_space
from ptqsim.ptq.gradients import Gradient, check_gradient
from ptqsim.ptq.objectives import OBJECTIVES, Objective
from ptqsim.ptq.operations import MatmulOperation
from ptqsim.ptq.search_space import Candidates, GeluPair, RangeChoice


@dataclass(frozen=True)
class PTQ4ViT:
    """PTQ4ViT, with each of its parts switchable (the paper's Table 3).

    Where the paper is silent or its released code differs, spec section 2 and 5 decide: the two scales of every twin
    format are a power of two apart, the range is chosen, not summed, and the task loss has hard pseudo-labels.

    Attributes
    ----------
    alpha, beta : float
        Search range in multiples of max / 2**(bits-1) (section 4.1).
    n : int
        Number of candidates of a uniform scale.
    rounds : int
        Rounds of the alternating search.
    hessian_guided : bool
        Hessian guided metric (Eq. 7); else cosine, as in Base PTQ.
    softmax_twin, gelu_twin : bool
        Twin formats after softmax and GELU (Eq. 4); else uniform.
    gradient : {"pseudo_label", "sampled", "released", "random"}
        The labels of the task loss whose gradient weighs the errors (spec section 5).
    gelu_pair : {"fixed_negative", "covering"}
        How the GELU pair stays a power of two apart (spec section 2).
    max_shift : int
        Largest m of the softmax search; the paper's 11 is Delta_R1 = 2**-(bits+10).
    range_choice : {"paper", "nearest"}
        How softmax codes choose their range (spec section 2).
    """

    name: ClassVar[str] = "ptq4vit"

    alpha: float = 0.0
    beta: float = 1.2
    n: int = 100
    rounds: int = 3
    hessian_guided: bool = True
    softmax_twin: bool = True
    gelu_twin: bool = True
    gradient: Gradient = "pseudo_label"
    gelu_pair: GeluPair = "fixed_negative"
    max_shift: int = 11
    range_choice: RangeChoice = "paper"

    def __post_init__(self) -> None:
        check_gradient(self.gradient)

    @property
    def task_loss(self) -> Gradient | None:
        return self.gradient if self.hessian_guided else None

    @property
    def objective(self) -> Objective:
        return OBJECTIVES["hessian" if self.hessian_guided else "cosine"]

    def a_candidates(self, op: MatmulOperation, a: torch.Tensor, bits: int) -> Candidates:
        if op.a_kind == "softmax" and self.softmax_twin:
            return search_space.twin_softmax(a.shape[0], bits, self.max_shift, self.range_choice)
        maxima = search_space.group_max(a)
        if op.a_kind == "gelu" and self.gelu_twin:
            return search_space.twin_gelu(maxima, bits, self._ratios(), self.gelu_pair)
        return search_space.uniform(maxima, bits, self._ratios())

    def b_candidates(self, op: MatmulOperation, b: torch.Tensor, bits: int) -> Candidates:
        return search_space.uniform(search_space.group_max(b), bits, self._ratios())

    def _ratios(self) -> list[float]:
        return search_space.linear_ratios(self.alpha, self.beta, self.n)
