"""Base PTQ: uniform formats and a cosine search, the baseline of PTQ4ViT (section 3.1, appendix 6.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ptqsim.ptq import search_space
from ptqsim.ptq.gradients import Gradient
from ptqsim.ptq.objectives import Objective, find_objective
from ptqsim.ptq.operations import MatmulOperation
from ptqsim.ptq.search_space import Candidates


@dataclass(frozen=True)
class BasePTQ:
    """Base PTQ.

    One scale per tensor, except that heads, and W_Q, W_K and W_V, have their own (section 4.1).  Where the output has
    several such groups, their cosine distances are summed; the paper does not say how it joins them.

    Attributes
    ----------
    alpha, beta : float
        Search range in multiples of max / 2**(bits-1).
    n : int
        Number of candidates.
    rounds : int
        Rounds of the alternating search.
    metric : {"cosine", "pearson", "mse"}
        What the search minimizes.
    """

    name: ClassVar[str] = "base_ptq"

    alpha: float = 0.5
    beta: float = 1.2
    n: int = 100
    rounds: int = 1
    metric: str = "cosine"

    @property
    def task_loss(self) -> Gradient | None:
        return None

    @property
    def objective(self) -> Objective:
        if self.metric == "hessian":
            raise ValueError("Base PTQ takes no gradients; legal metrics are 'cosine', 'pearson' and 'mse'")
        return find_objective(self.metric)

    def a_candidates(self, op: MatmulOperation, a: torch.Tensor, bits: int) -> Candidates:
        return self._uniform(a, bits)

    def b_candidates(self, op: MatmulOperation, b: torch.Tensor, bits: int) -> Candidates:
        return self._uniform(b, bits)

    def _uniform(self, x: torch.Tensor, bits: int) -> Candidates:
        ratios = search_space.linear_ratios(self.alpha, self.beta, self.n)
        return search_space.uniform(search_space.group_max(x), bits, ratios)
