"""ShiftGELU, the GELU of I-ViT: x times a sigmoid of shifts and additions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from numpy.typing import ArrayLike

from ptqsim.common.validation import checked_integer
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.uniform import Uniform
from ptqsim.kernels.units import published_gelu as kernels
from ptqsim.units.activation_units.product_gelu import ProductGELU, pre_activation
from ptqsim.units.constants import Multiplier, nearest
from ptqsim.units.interval import Interval, check_words
from ptqsim.units.protocol import Trace
from ptqsim.units.reference import published_gelu as reference
from ptqsim.units.reference.shift_exp import shift_exp
from ptqsim.units.rescale import Rescale
from ptqsim.units.softmax_units.shiftmax import MAX_INVERSE
from ptqsim.units.softmax_units.softmax_unit import checked_scores


@dataclass(frozen=True)
class ShiftGELU(ProductGELU):
    """ShiftGELU of I-ViT: x sigmoid(1.702 x), with the exponentials of `Shiftmax`, relative to the row's greatest x.

    Parameters
    ----------
    out_format : NumberFormat
        `Uniform`, `TwinSoftmax`, `TwinGELU` or `Log2`.
    rescale : Rescale
        The way from an accumulator to the pre-activation x, whose format is `Uniform`.
    multiplier : Multiplier
        (step of x) * 2**-sigmoid_bits / (step of `out_format`).
    inverse_step : int
        1 / (step of x), rounded; 1 to 2**30.
    shift : int
        N, the shift of the exponential of the greatest value, 1 to 30; 23 in the released code.
    sigmoid_bits : int
        Fraction bits of the sigmoid, 4 to 16; 7 in the paper.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range, or a value needs more than 63 bits.
    """

    kind: ClassVar[str] = "shift_gelu"
    source: ClassVar[str] = "I-ViT, Li and Gu, ICCV 2023, section 3.4, Algorithm 2"

    inverse_step: int
    shift: int
    sigmoid_bits: int

    # Written out, because it checks what it takes.
    def __init__(
        self,
        out_format: NumberFormat,
        rescale: Rescale,
        multiplier: Multiplier,
        inverse_step: int,
        shift: int = 23,
        sigmoid_bits: int = 7,
    ) -> None:
        self._set_common(out_format, rescale, multiplier)
        object.__setattr__(self, "inverse_step", checked_integer("inverse_step", inverse_step, 1, MAX_INVERSE))
        object.__setattr__(self, "shift", checked_integer("shift", shift, 1, 30))
        object.__setattr__(self, "sigmoid_bits", checked_integer("sigmoid_bits", sigmoid_bits, 4, 16))
        check_words("a ShiftGELU", self.widths(), "take a pre-activation of fewer bits, or a smaller shift")

    @classmethod
    def from_real(
        cls,
        in_scale: ArrayLike,
        index_format: Uniform,
        out_format: NumberFormat,
        bias: ArrayLike = 0.0,
        acc_bits: int = 32,
        multiplier_bits: int = 16,
        shift: int = 23,
        sigmoid_bits: int = 7,
    ) -> ShiftGELU:
        """The unit nearest to real parameters.

        Parameters
        ----------
        in_scale : float or array of shape (C,)
            Real value of one unit of acc, for the tensor or for every channel.
        index_format : Uniform
            Format of the pre-activation, whose scale is at most 1.
        out_format : NumberFormat
            As for the unit.
        bias : float or array of shape (C,), optional
            Real bias; it becomes the nearest integer on the grid of acc.
        acc_bits, multiplier_bits : int, optional
            As for `Rescale.from_real`.
        shift, sigmoid_bits : int, optional
            As for the unit.
        """
        rescale, step, out_step = pre_activation(in_scale, index_format, out_format, bias, acc_bits, multiplier_bits)
        checked_scores(float(step), 1.0, "ShiftGELU")
        bits = checked_integer("sigmoid_bits", sigmoid_bits, 4, 16)
        multiplier = Multiplier.of(float(step / (1 << bits) / out_step), multiplier_bits)
        return cls(out_format, rescale, multiplier, nearest(1 / step), shift, bits)

    def own_widths(self, value: Interval) -> tuple[dict[str, Interval], Interval]:
        """Intervals of the named values between pre-activation and product, and that of the factor."""
        magnified = Interval(*(x + (x >> 1) + (x >> 3) + (x >> 4) for x in (value.lowest, value.highest)))
        # ShiftExp falls with the distance up to a mantissa of half a unit.
        exponential = Interval((self.inverse_step + 1) // 2, self.inverse_step << self.shift)
        ends = [shift_exp(-peak, self.inverse_step, self.shift) for peak in (magnified.lowest, magnified.highest)]
        highest = self.inverse_step << (self.shift - min(0, ends[0].whole))
        of_zero = Interval(exponential.lowest, max(highest, exponential.highest))
        total = exponential + of_zero
        sigmoid = Interval(0, 1 << self.sigmoid_bits)
        dividend = Interval(0, (exponential.highest << (self.sigmoid_bits + 1)) + total.highest)
        check_words("a ShiftGELU", {"dividend of sigmoid": dividend}, "take a smaller shift or fewer sigmoid_bits")
        return {
            "magnified": magnified,
            "peak": magnified,
            "exponential": exponential,
            "of_zero": of_zero,
            "total": total,
            "sigmoid": sigmoid,
        }, sigmoid

    def _trace(self, *rows: Sequence[int]) -> Trace:
        return reference.shift_gelu(self, rows[0])

    @property
    def _kernel(self) -> tuple[Callable[..., int], tuple[int, ...]]:
        return kernels.shift_gelu, (self.inverse_step, self.shift, self.sigmoid_bits)
