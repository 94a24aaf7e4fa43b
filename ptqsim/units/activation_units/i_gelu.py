"""I-GELU, the GELU of I-BERT: erf as a polynomial of degree 2."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Final

from numpy.typing import ArrayLike

from ptqsim.common.validation import checked_integer
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.uniform import Uniform
from ptqsim.kernels.units import published_gelu as kernels
from ptqsim.units.activation_units.product_gelu import ProductGELU, pre_activation
from ptqsim.units.constants import Multiplier
from ptqsim.units.interval import Interval
from ptqsim.units.protocol import Trace
from ptqsim.units.reference import published_gelu as reference

_A, _B = Fraction("-0.2888"), Fraction("-1.769")  # I-BERT, Eq. 8; the constant is 1
_ROOT_OF_TWO: Final = Fraction("1.41421356237309504880168872420969807857")


@dataclass(frozen=True)
class IGELU(ProductGELU):
    """I-GELU of I-BERT: x (1 + erf(x / sqrt 2)) / 2, with erf(y) = sgn(y) (a (min(abs(y), -b) + b)**2 + 1).

    Parameters
    ----------
    out_format, rescale : NumberFormat and Rescale
        As for `ProductGELU`.
    multiplier : Multiplier
        (step of x) * -a (step of x)**2 / 4 / (step of `out_format`).
    vertex : int
        floor(b / S), with S the step of x divided by sqrt 2, and b = -1.769; negative.
    constant, one : int
        floor(1 / (a S**2)), with a = -0.2888; negative. The first is the polynomial's, the second 1 on its grid.

    Raises
    ------
    TypeError, ValueError
        As for `ProductGELU`.

    Notes
    -----
    The released code drops 14 bits of 1 + erf before the product; the algorithm of the paper, and this unit, drop none.
    """

    kind: ClassVar[str] = "i_gelu"
    source: ClassVar[str] = "I-BERT, Kim et al., ICML 2021, section 3.4, Algorithm 2"

    sign: ClassVar[int] = -1  # of a = -0.2888
    advice: ClassVar[str] = "take a pre-activation on a coarser grid, or a narrower multiplier"

    vertex: int
    constant: int
    one: int

    def _set_constants(self) -> None:
        self._set(
            vertex=checked_integer("vertex", self.vertex, -(1 << 24), -1),
            constant=checked_integer("constant", self.constant, -(1 << 48), -1),
            one=checked_integer("one", self.one, -(1 << 48), -1),
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
    ) -> IGELU:
        """The unit nearest to real parameters.

        Parameters
        ----------
        in_scale, index_format, out_format : float or array of shape (C,), Uniform and NumberFormat
            As for `pre_activation`, which makes the first step.
        bias, acc_bits, multiplier_bits : float or array of shape (C,), int and int, optional
            As for `pre_activation`.
        """
        rescale, step, out_step = pre_activation(in_scale, index_format, out_format, bias, acc_bits, multiplier_bits)
        erf_step = _A * step * step / 2
        multiplier = Multiplier.of(float(-step * erf_step / 2 / out_step), multiplier_bits)
        vertex = math.floor(_B * _ROOT_OF_TWO / step)
        constant = math.floor(1 / erf_step)
        return cls(out_format, rescale, multiplier, vertex, constant, constant)

    def own_widths(self, value: Interval) -> tuple[dict[str, Interval], Interval]:
        """Intervals of the named values between pre-activation and product, and that of the factor."""
        farthest = min(max(-value.lowest, value.highest), -self.vertex)
        polynomial = Interval((farthest + self.vertex) ** 2 + self.constant, self.vertex**2 + self.constant)
        largest = max(abs(polynomial.lowest), abs(polynomial.highest))
        erf = Interval(-largest, largest)
        named = {"clipped": Interval(0, farthest), "polynomial": polynomial, "erf": erf}
        return named, erf + Interval(self.one, self.one)

    def _trace(self, *rows: Sequence[int]) -> Trace:
        return reference.i_gelu(self, rows[0])

    @property
    def _kernel(self) -> tuple[Callable[..., int], tuple[int, ...]]:
        return kernels.i_gelu, (self.vertex, self.constant, self.one)
