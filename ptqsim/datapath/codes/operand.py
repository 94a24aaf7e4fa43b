"""The meaning of a code before it is shifted, in plain Python integers: part of the reference."""

from __future__ import annotations

from numbers import Integral
from typing import NamedTuple

from ptqsim.datapath.codes.log2 import log2_aligned
from ptqsim.datapath.codes.minifloat import minifloat_aligned
from ptqsim.datapath.nested import Nested, mapped
from ptqsim.datapath.register import plain
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.arrays.immutable import checked_anew
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.floats.minifloat import Minifloat
from ptqsim.formats.log2 import Log2
from ptqsim.formats.twin import TwinGELU, TwinSoftmax
from ptqsim.formats.uniform import Uniform


class Operand(NamedTuple):
    """One operand before its shift: ``mantissa << shift``, of the range with that number (0 is R1, 1 is R2)."""

    mantissa: int
    shift: int
    range: int
    zero_point: int = 0

    @property
    def aligned(self) -> int:
        """The integer on the finest grid."""
        return self.mantissa << self.shift

    @property
    def integer(self) -> int:
        """The integer that the code is, before its zero point is subtracted."""
        return self.mantissa + self.zero_point


def operand(code: int, number_format: NumberFormat) -> Operand:
    """Aligned value of one code of a shift-alignable format, with its range.

    Raises
    ------
    ValueError
        If the code does not fit the format or stands for infinity or NaN, or the format is not shift-alignable.
    """
    given: object = code
    if isinstance(given, bool) or not isinstance(given, Integral):
        raise ArgumentTypeError(f"a code must be an integer, got {given!r}")
    number_format = checked_anew("number_format", number_format, NumberFormat)
    code = plain(code)
    if not 0 <= code < 1 << number_format.storage_bits:
        raise ValueError(f"code {code} is outside 0 .. {(1 << number_format.storage_bits) - 1}")
    half = 1 << (number_format.bits - 1)
    if isinstance(number_format, Uniform):
        integer = code - 2 * half if number_format.signed and code >= half else code
        return Operand(integer - number_format.zero_point, 0, 0, number_format.zero_point)
    if isinstance(number_format, TwinSoftmax | TwinGELU):
        flag, magnitude = divmod(code, half)
        if flag:
            return Operand(magnitude, number_format.shift, 1)
        return Operand(-magnitude if isinstance(number_format, TwinGELU) else magnitude, 0, 0)
    if isinstance(number_format, Log2) and number_format.shift_alignable:
        return Operand(log2_aligned(code, number_format), 0, 0)
    if isinstance(number_format, Minifloat) and number_format.shift_alignable:
        return Operand(minifloat_aligned(code, number_format), 0, 0)
    raise ValueError(f"{type(number_format).__name__} codes are not integers on one grid, apart from a shift")


def operands(array: QuantizedArray) -> Nested:
    """The operands of a quantized array, nested as it is shaped."""
    nested: Nested = mapped(array.codes.tolist(), lambda code: operand(code, array.format))
    return nested
