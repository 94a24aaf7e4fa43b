"""Base PTQ: uniform formats and a cosine search, the baseline of PTQ4ViT (section 3.1, appendix 6.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ptqsim.errors import unknown_name
from ptqsim.ptq.calibration.methods.protocol import LinearSearch
from ptqsim.ptq.network.operations import MatmulOperation
from ptqsim.ptq.search.objectives import OBJECTIVES, Objective, find_objective


@dataclass(frozen=True, kw_only=True)
class BasePTQ(LinearSearch):
    """Base PTQ: PTQ4ViT appendix 6.2, with its alpha = 0.5, beta = 1.2, one round, and all layers in parallel.

    Where the output has several groups with scales of their own, their cosine distances are summed; the paper does not
    say how it joins them.  Its released code takes the cosine of each row instead of each group.

    Attributes
    ----------
    metric : {"cosine", "pearson", "mse"}
        What the search minimizes.  The others are options of :class:`LinearSearch`.
    """

    name: ClassVar[str] = "base_ptq"

    metric: str = "cosine"

    def __post_init__(self) -> None:
        LinearSearch.__post_init__(self)
        if self.metric == "hessian":
            raise ValueError("metric is 'hessian', but Base PTQ takes no gradients; legal is cosine, pearson or mse")
        if self.metric not in OBJECTIVES:
            raise unknown_name("metric", self.metric, [name for name in OBJECTIVES if name != "hessian"])

    def objective(self, op: MatmulOperation) -> Objective:
        return find_objective(self.metric)
