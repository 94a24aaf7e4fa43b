"""What a calibration method is: the search spaces, the objective and the rounds of one shared search."""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch

from ptqsim.ptq.gradients import Gradient
from ptqsim.ptq.objectives import Objective
from ptqsim.ptq.operations import MatmulOperation
from ptqsim.ptq.search_space import Candidates


class Method(Protocol):
    """A post-training quantization method; a frozen dataclass whose fields are its options."""

    name: ClassVar[str]
    """What ``--method`` calls it."""

    @property
    def rounds(self) -> int:
        """Rounds of the alternating search."""

    @property
    def task_loss(self) -> Gradient | None:
        """The task loss whose gradient the objective needs, or None."""

    @property
    def objective(self) -> Objective:
        """What the search minimizes."""

    def a_candidates(self, op: MatmulOperation, a: torch.Tensor, bits: int) -> Candidates:
        """Candidate formats of the left operand a [Ga, ...]."""

    def b_candidates(self, op: MatmulOperation, b: torch.Tensor, bits: int) -> Candidates:
        """Candidate formats of the right operand b [Gb, ...], a weight or an activation."""
