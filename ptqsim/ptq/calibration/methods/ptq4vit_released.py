"""PTQ4ViT's released code where it differs from the paper; for comparison only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ptqsim.ptq.calibration.methods.protocol import LinearSearch
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.network.tasks.gradients import Gradient
from ptqsim.ptq.search import candidates as search_space
from ptqsim.ptq.search.alternate import SearchSchedule
from ptqsim.ptq.search.candidates import Candidates
from ptqsim.ptq.search.objectives import Objective, find_objective


@dataclass(frozen=True, kw_only=True)
class ReleasedPTQ4ViT(LinearSearch):
    """PTQ4ViT as its authors' code runs, so that printed results can be run again beside the paper's method.

    Against section 3 of the paper:

    - after softmax both ranges are quantized, clamped and *added*, the coarse one with 1 / (2**(k-1) - 1), and one
      split in 1, 1/2, ..., 2**-19 serves all heads (Eq. 4, section 3.2, section 4.1);
    - after GELU the positive scale is free, no power of two times the negative one (section 3.2);
    - the task loss is KL(y, y), whose gradient is the rounding noise of float32 (Eq. 7; docs/calibration.md);
    - alpha is 0.01, and the last candidate, beta, is never tried (section 4.1);
    - scales are multiples of max / (2**(k-1) - 1/2), and after GELU of the largest positive value (Eq. 2, section 3.1);
    - the split is searched against the float B (Algorithm 1), and weights before activations.

    Integer mode refuses the result, as no shift aligns its ranges.

    What the released code does besides, and this doesn't: the patch projection keeps its input in float and has one
    scale per output channel.
    """

    name: ClassVar[str] = "ptq4vit"

    alpha: float = 0.01
    rounds: int = 3
    splits: int = 20

    def __post_init__(self) -> None:
        LinearSearch.__post_init__(self)
        if not 1 <= self.splits <= search_space.MAX_SHIFT:
            raise ValueError(
                f"splits is {self.splits}; legal is 1 to {search_space.MAX_SHIFT}: the released code has 20"
            )

    @property
    def task_loss(self) -> Gradient:
        return Gradient.RELEASED

    @property
    def symmetric_only(self) -> str:
        return "as the released code, which it is compared with, has symmetric activations only"

    def objective(self, op: MatmulOperation) -> Objective:
        return find_objective("hessian")

    def schedule(self, op: MatmulOperation) -> SearchSchedule:
        weights_first = op.constant_b is not None
        split_search = op.a_kind == "softmax"
        return SearchSchedule(self.rounds, "b" if weights_first else "a", split_search, self.bias_correction)

    def a_candidates(self, op: MatmulOperation, a: torch.Tensor, bits: int, symmetric: bool = True) -> Candidates:
        if op.a_kind == "softmax":
            return search_space.released_softmax(bits, self.splits)
        if op.a_kind == "gelu":
            return search_space.released_gelu(search_space.group_max(a.clamp(min=0)), bits, self._ratios())
        return self.b_candidates(op, a, bits)

    def b_candidates(self, op: MatmulOperation, b: torch.Tensor, bits: int, symmetric: bool = True) -> Candidates:
        return search_space.released_uniform(search_space.group_max(b), bits, self._ratios())

    def _ratios(self) -> list[float]:
        return search_space.released_ratios(self.alpha, self.beta, self.n)
