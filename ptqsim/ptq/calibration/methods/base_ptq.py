"""Base PTQ: uniform formats and a cosine search, the baseline of PTQ4ViT (section 3.1, appendix 6.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ptqsim.common.choice import Choice
from ptqsim.ptq.calibration.methods.protocol import LinearSearch
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.search.objectives import Objective, find_objective


class Metric(Choice):
    """Distance between the outputs of the float and of the quantized layer."""

    COSINE = "cosine"
    PEARSON = "pearson"
    SIMILARITY = "similarity"
    MSE = "mse"


@dataclass(frozen=True, kw_only=True)
class BasePTQ(LinearSearch):
    """Base PTQ: PTQ4ViT appendix 6.2, with its alpha = 0.5, beta = 1.2, one round, and all layers in parallel.

    Where the output has several groups with scales of their own, their cosine distances are summed; the paper does not
    say how it joins them.  Its released code takes the cosine of each row instead of each group.

    Attributes
    ----------
    metric : Metric or {"cosine", "pearson", "similarity", "mse"}
        The distance that the search minimizes.  Other options are those of :class:`LinearSearch`.
    """

    name: ClassVar[str] = "base_ptq"

    metric: Metric | str = Metric.COSINE

    def __post_init__(self) -> None:
        if self.metric == "hessian":
            raise ValueError(
                f"metric is 'hessian', but Base PTQ takes no gradients; legal are {', '.join(Metric)}: try ptq4vit"
            )
        LinearSearch.__post_init__(self)

    def objective(self, op: MatmulOperation) -> Objective:
        return find_objective(self.metric)
