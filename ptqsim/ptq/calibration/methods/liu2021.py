"""Liu et al.: similarity-aware and ranking-aware quantization with bias correction (NeurIPS 2021, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ptqsim.ptq.calibration.methods.protocol import LinearSearch, Paradigm, check_weight
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.search.alternate import SearchSchedule
from ptqsim.ptq.search.objectives import Objective, find_objective
from ptqsim.ptq.search.ranking import ranking_objective


@dataclass(frozen=True, kw_only=True)
class Liu2021(LinearSearch):
    """Liu et al., each part switchable (the paper's Table 3).

    The search is by similarity (Eq. 12), to which ranking (Eq. 10, 11) and bias correction (Eq. 13 to 15) are added.
    Mixed precision (Eq. 17) goes with every method: see :class:`ptqsim.ptq.MixedPrecision`.

    As the paper has it: Delta_W is searched first, then Delta_X, both initialized by the maximum, alpha = 0.5 and
    beta = 1.2, until nothing changes or after 20 rounds, with the bias corrected after each.

    Deviations: heads, and W_Q, W_K and W_V, have scales of their own, as in PTQ4ViT section 4.1, and their correlations
    are taken one by one.  The ranking loss is a mean in units of the scores' standard deviation, where Eq. 10 is a
    plain sum (see :mod:`ptqsim.ptq.search.ranking`); gamma, theta and the number C of candidates are not in the paper.
    Nor is it said whether a layer sees quantized layers before it; here it does, as cumulative errors are what the
    paper corrects biases for.

    Attributes
    ----------
    ranking : bool
        Add the ranking loss to the objective of Q K^T, where the attention scores A are made (Eq. 3).
    gamma : float
        Its weight (Eq. 11); 0 or more.
    theta : float
        Margin of its hinge (Eq. 10) in standard deviations of the exact scores; 0 or more.
    """

    name: ClassVar[str] = "liu2021"

    rounds: int = 20
    paradigm: Paradigm | str = Paradigm.SEQUENTIAL
    bias_correction: bool = True
    ranking: bool = True
    gamma: float = 1.0
    theta: float = 0.1

    def __post_init__(self) -> None:
        LinearSearch.__post_init__(self)
        check_weight("gamma", self.gamma, 1.0)
        check_weight("theta", self.theta, 0.1)

    def idle_options(self, op: MatmulOperation) -> frozenset[str]:
        idle = set() if op.kind == "matmul_qk" else {"ranking", "gamma", "theta"}
        if op.constant_b is None:
            idle.add("bias_correction")
        return frozenset(idle)

    def objective(self, op: MatmulOperation) -> Objective:
        if self.ranking and op.kind == "matmul_qk":
            return ranking_objective(self.gamma, self.theta)
        return find_objective("similarity")

    def schedule(self, op: MatmulOperation) -> SearchSchedule:
        return SearchSchedule(self.rounds, first="b", correct_bias=self.bias_correction and op.constant_b is not None)
