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
from ptqsim.units.softmax_units.scores import checked_scores
from ptqsim.units.softmax_units.shiftmax import MAX_INVERSE


@dataclass(frozen=True)
class ShiftGELU(ProductGELU):
    """ShiftGELU of I-ViT: x sigmoid(1.702 x), with the exponentials of `Shiftmax`, relative to the row's greatest x.

    Parameters
    ----------
    out_format, rescale : NumberFormat and Rescale
        As for `ProductGELU`.
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
    TypeError, ValueError
        As for `ProductGELU`.
    """

    kind: ClassVar[str] = "shift_gelu"
    source: ClassVar[str] = "I-ViT, Li and Gu, ICCV 2023, section 3.4, Algorithm 2"

    advice: ClassVar[str] = "take a pre-activation of fewer bits, or a smaller shift"

    inverse_step: int
    shift: int = 23
    sigmoid_bits: int = 7

    def _set_constants(self) -> None:
        self._set(
            inverse_step=checked_integer("inverse_step", self.inverse_step, 1, MAX_INVERSE),
            shift=checked_integer("shift", self.shift, 1, 30),
            sigmoid_bits=checked_integer("sigmoid_bits", self.sigmoid_bits, 4, 16),
        )

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
        in_scale, index_format, out_format : float or array of shape (C,), Uniform and NumberFormat
            As for `pre_activation`, which makes the first step; the scale of the format is at most 1.
        bias, acc_bits, multiplier_bits : float or array of shape (C,), int and int, optional
            As for `pre_activation`.
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
        check_words("ShiftGELU", {"dividend of sigmoid": dividend}, "take a smaller shift or fewer sigmoid_bits")
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
