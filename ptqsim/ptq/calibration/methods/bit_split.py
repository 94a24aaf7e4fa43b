"""Bit-Split: weights that reconstruct a layer's output, digit by digit (Wang et al., ICML 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ptqsim.ptq.calibration.methods.protocol import BitSplitting, LinearSearch, Paradigm, check_weight
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.search.objectives import Objective, find_objective


@dataclass(frozen=True, kw_only=True)
class BitSplit(LinearSearch):
    """Bit splitting and stitching of the weights, whose errors in turn make up for those of the activations.

    The scales come from the shared search by the squared error of the output; the codes, and the scale of the weights
    once more, from :mod:`ptqsim.ptq.calibration.rounding.bit_split`.  Layers are quantized in sequence.

    Deviations: the paper has one scale per output channel, as here with ``w_granularity="channel"``, and one per input
    channel where activations are compensated, which no datapath with one unit per output has. The scale of the
    activations is searched instead of fitted to them alone. Damping, which the paper does not have, keeps the weights
    where the images say nothing of them: with 32 images, the 32 rows that reach a classifier don't determine it, and on
    images that were held out the error of a layer of vit_digits is less with a damping of 0.3 to 3 than with 0.01.

    Attributes
    ----------
    epochs : int
        Sweeps over all digits at most; it ends when one changes nothing.
    damping : float
        Pull towards the float weights, in multiples of the mean square of the inputs; 0 is the paper's objective.
    """

    name: ClassVar[str] = "bit_split"

    paradigm: Paradigm | str = Paradigm.SEQUENTIAL
    epochs: int = 20
    damping: float = 1.0

    def __post_init__(self) -> None:
        LinearSearch.__post_init__(self)
        check_bit_splitting(self.epochs, self.damping)

    @property
    def bit_splitting(self) -> BitSplitting:
        return BitSplitting(self.epochs, self.damping)

    def objective(self, op: MatmulOperation) -> Objective:
        return find_objective("mse")


def check_bit_splitting(epochs: int, damping: float) -> None:
    """Refuse numbers out of range with a ValueError that says what is legal."""
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}; legal is 1 or more: try 20")
    check_weight("damping", damping, 1.0)
