"""Parts that all activations share: they begin with a rescaling to the pre-activation."""

from __future__ import annotations

from dataclasses import dataclass

from ptqsim.formats.base import NumberFormat
from ptqsim.units.protocol import Input, Unit
from ptqsim.units.rescale import Rescale


@dataclass(frozen=True)
class PreActivation(Unit):
    """A unit that begins with the rescaling of an accumulator to a pre-activation.

    Parameters
    ----------
    out_format : NumberFormat
        Format of the codes.
    rescale : Rescale
        The way from an accumulator to the pre-activation.
    """

    out_format: NumberFormat
    rescale: Rescale

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The accumulator."""
        return self.rescale.inputs

    @property
    def channels(self) -> int | None:
        """Number of channels, if the rescaling has constants for each."""
        return self.rescale.channels
