"""The sum of the residual stream and a branch, on one grid and with one rounding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.validation import checked_integer, checked_scale, checked_type
from ptqsim.formats.uniform import Uniform
from ptqsim.kernels.units import elementwise
from ptqsim.kernels.units import vectors as vector_kernels
from ptqsim.units import target, vectors
from ptqsim.units.constants import MAX_SHIFT, checked_integers, nearest, one_channel_count, reals, scales, spread
from ptqsim.units.interval import Interval, check_words, of_values, signed_interval
from ptqsim.units.protocol import Input, Trace, Unit, checked_input_bits, run_rows
from ptqsim.units.reference import residual_add as reference
from ptqsim.units.rescale import integer_bias

_TOP = (1 << 40) - 1


@dataclass(frozen=True)
class ResidualAdd(Unit):
    """Saturating sum of two branches: code of (x * m1 + (acc + bias) * m2) / 2**shift, a half rounded up.

    Parameters
    ----------
    out_format : Uniform
        Grid of the sum, 8 to 16 bits.
    m1 : sequence of int
        Multiplier of the residual x, one or one per channel; ``2**shift`` if the grid stays the same.
    m2 : sequence of int
        Multiplier of the branch, one or one per channel; layer scale is folded into it, so it may be negative.
    shift : int
        Right shift of the sum, 0 to 62.
    bias : sequence of int, optional
        One, or one per channel, on the grid of acc.
    x_bits, acc_bits : int, optional
        Signed widths of x and acc, 2 to 48.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range, the numbers of channels differ, or the sum needs more than 63 bits.
    """

    kind: ClassVar[str] = "residual_add"
    source: ClassVar[str] = "TFLite, quantized ADD, with one rounding in place of three"

    out_format: Uniform
    m1: tuple[int, ...]
    m2: tuple[int, ...]
    shift: int
    bias: tuple[int, ...] = (0,)
    x_bits: int = 16
    acc_bits: int = 32

    # Written out, because it takes more types than the fields have.
    def __init__(
        self,
        out_format: Uniform,
        m1: Sequence[int],
        m2: Sequence[int],
        shift: int,
        bias: Sequence[int] = (0,),
        x_bits: int = 16,
        acc_bits: int = 32,
    ) -> None:
        checked_type("out_format", target.checked_target(out_format), Uniform, "a residual stream is on one grid")
        object.__setattr__(self, "out_format", target.checked_target(out_format))
        object.__setattr__(self, "m1", checked_integers("m1", m1, -_TOP, _TOP))
        object.__setattr__(self, "m2", checked_integers("m2", m2, -_TOP, _TOP))
        object.__setattr__(self, "shift", checked_integer("shift", shift, 0, MAX_SHIFT))
        object.__setattr__(self, "x_bits", checked_input_bits("x_bits", x_bits))
        object.__setattr__(self, "acc_bits", checked_input_bits("acc_bits", acc_bits))
        limit = 1 << (self.acc_bits - 1)
        object.__setattr__(self, "bias", checked_integers("bias", bias, -limit, limit - 1))
        one_channel_count("a ResidualAdd", m1=len(self.m1), m2=len(self.m2), bias=len(self.bias))
        check_words("a ResidualAdd", self.widths(), "take multipliers of fewer bits, or narrower inputs")

    @classmethod
    def from_real(
        cls,
        x_scale: float,
        acc_scale: ArrayLike,
        out_format: Uniform,
        bias: ArrayLike = 0.0,
        x_bits: int = 16,
        acc_bits: int = 32,
        multiplier_bits: int = 16,
        largest: float | None = None,
        gain: ArrayLike = 1.0,
    ) -> ResidualAdd:
        """The unit nearest to real parameters.

        Parameters
        ----------
        x_scale : float
            Real value of one unit of x.
        acc_scale : float or array of shape (C,)
            Real value of one unit of acc, for the tensor or for every channel.
        out_format : Uniform
            Grid of the sum.
        bias : float or array of shape (C,), optional
            Real bias of the branch; it becomes the nearest integer on the grid of acc.
        x_bits, acc_bits : int, optional
            As for the unit.
        multiplier_bits : int, optional
            Significant bits of the largest m2, 1 to 31; m1 gets as many or more.
        largest : float, optional
            Largest magnitude of a sum that was seen. If the grid does not reach it, the unit is refused.
        gain : float or array of shape (C,), optional
            Factor of the branch, bias included, for the tensor or for every channel: layer scale. It may be negative
            or zero, but not zero everywhere.
        """
        checked_type("out_format", target.checked_target(out_format), Uniform, "a residual stream is on one grid")
        if largest is not None:
            _check_reach(out_format, checked_scale(largest, "largest"))
        bits = checked_integer("multiplier_bits", multiplier_bits, 1, 31)
        step = Fraction(out_format.scale)
        units = scales("acc_scale", acc_scale)
        gains = [Fraction(value) for value in reals("gain", gain)]
        count = one_channel_count("a ResidualAdd", acc_scale=len(units), gain=len(gains))
        factor1 = Fraction(checked_scale(x_scale, "x_scale")) / step
        factors2 = [u * g / step for u, g in zip(spread(units, count), spread(gains, count), strict=True)]
        # The largest mantissa of the branch, and that of the stream at least, has the bits that were asked for.
        largest2 = max(map(abs, factors2))
        if not largest2:
            raise ValueError("gain is zero for every channel, so that the branch adds nothing; leave the unit out")
        shift = min(bits - _exponent(largest2), MAX_SHIFT)
        shift = max(0, shift, bits - _exponent(factor1))
        m1, m2 = nearest(factor1 * (1 << shift)), [nearest(factor * (1 << shift)) for factor in factors2]
        if not m1 or not any(m2) or max(m1, *map(abs, m2)) > _TOP:
            raise ValueError(
                f"x_scale {x_scale!r} and acc_scale are too far from the step {out_format.scale!r} of out_format: with "
                f"a shift of {shift}, a multiplier is zero or above 40 bits; give scales that are closer together"
            )
        return cls(out_format, (m1,), m2, shift, integer_bias(bias, units), x_bits, acc_bits)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The residual stream and the accumulator of the branch."""
        return Input("x", self.x_bits), Input("acc", self.acc_bits)

    @property
    def channels(self) -> int | None:
        """Number of channels, if a multiplier or the bias has one entry for each."""
        count = max(len(self.m1), len(self.m2), len(self.bias))
        return count if count > 1 else None

    def widths(self) -> dict[str, Interval]:
        """The integers that every named value can be."""
        stream = signed_interval(self.x_bits) * of_values(self.m1)
        biased = signed_interval(self.acc_bits) + of_values(self.bias)
        branch = biased * of_values(self.m2)
        total = stream + branch
        return {"biased": biased, "stream": stream, "branch": branch, "total": total} | target.widths_of_shift(
            total, self.shift, self.out_format
        )

    def _trace(self, *rows: Sequence[int]) -> Trace:
        return reference.trace(self, *rows)

    def _vector(self, n: int) -> vectors.Vector | None:
        count = max(len(self.bias), len(self.m2))
        half = vectors.half_of(self.shift)
        addends = [b * m + half for b, m in zip(spread(self.bias, count), spread(self.m2, count), strict=True)]
        m1, m2, more = (vectors.row_of(one, n) for one in (self.m1, self.m2, addends))
        if m1 is None or m2 is None or more is None:
            return None
        constants = m1, m2, more, vectors.limits_of(self.out_format, self.shift)
        return vectors.Vector(vector_kernels.residual_add, constants, coded=1)

    def _run(self, rows: tuple[NDArray[np.int64], ...], codes: NDArray[Any]) -> None:
        n = codes.shape[1]
        constants = [self._constant(name, getattr(self, name), n) for name in ("bias", "m1", "m2")]
        shift = self._constant("shift", (self.shift,), n)
        run_rows(
            elementwise.residual_add, rows[0], *rows, *constants, shift, target.kernel_constants(self.out_format), codes
        )


def _exponent(factor: Fraction) -> int:
    """The e with 2**(e - 1) <= factor < 2**e."""
    exponent = factor.numerator.bit_length() - factor.denominator.bit_length()
    return exponent + (factor >= Fraction(2) ** exponent)


def _check_reach(out_format: Uniform, largest: float) -> None:
    reach = min(-out_format.aligned_min, out_format.aligned_max)
    needed = math.ceil(Fraction(largest) / Fraction(out_format.scale))
    if needed > reach:
        raise ValueError(
            f"a residual of {out_format.bits} bits with the scale {out_format.scale:.6g} reaches to "
            f"{reach * out_format.scale:.6g}, and sums of {largest:.6g} were seen; give it {needed.bit_length() + 1} "
            f"bits, or a scale of {largest / reach:.6g} or more"
        )
