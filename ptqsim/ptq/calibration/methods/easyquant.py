"""EasyQuant: cosine, alternating, one layer after the other (Wu et al., arXiv:2006.16669)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ptqsim.ptq.calibration.methods.protocol import LinearSearch, Paradigm
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.search.alternate import SearchSchedule
from ptqsim.ptq.search.objectives import Objective, find_objective


@dataclass(frozen=True, kw_only=True)
class EasyQuant(LinearSearch):
    """EasyQuant as the two papers on vision transformers compare with it.

    Weights first, then activations, by the cosine of the layer's output, each layer seeing what the quantized layers
    before it give (PTQ4ViT appendix 6.2 on the sequential paradigm).

    Deviations: alpha = 0.5 and beta = 1.2 are those that PTQ4ViT's appendix 6.2 names for it, where its own paper has
    beta = 2; weights have one scale per layer, and one per channel as in its paper with ``w_granularity="channel"``;
    the rounds end when nothing changes, and 3 are run at most.
    """

    name: ClassVar[str] = "easyquant"

    rounds: int = 3
    paradigm: Paradigm | str = Paradigm.SEQUENTIAL

    def objective(self, op: MatmulOperation) -> Objective:
        return find_objective("cosine")

    def schedule(self, op: MatmulOperation) -> SearchSchedule:
        return SearchSchedule(self.rounds, first="b", correct_bias=self.bias_correction)
