"""Meaning of the operands of a unit in hardware: what is multiplied, and how far a code is shifted."""

from __future__ import annotations

from typing import Final

from ptqsim.formats.base import NumberFormat
from ptqsim.formats.floats.minifloat import Minifloat
from ptqsim.formats.log2 import Log2
from ptqsim.formats.twin import TwinGELU, TwinSoftmax
from ptqsim.formats.uniform import Uniform

FORMATS: Final = (Uniform, TwinSoftmax, TwinGELU, Minifloat, Log2)
"""Formats that units are generated for."""


def twin(number_format: NumberFormat) -> bool:
    """True if the format has two ranges."""
    return isinstance(number_format, TwinSoftmax | TwinGELU)


def floating(number_format: NumberFormat) -> bool:
    """True if every code has a shift of its own: small floats and logarithms."""
    return isinstance(number_format, Minifloat | Log2)


def mantissa_range(number_format: NumberFormat) -> tuple[int, int]:
    """Least and greatest mantissa of any code: of small floats the significand, of logarithms a fraction."""
    if isinstance(number_format, Minifloat):
        greatest = (2 << number_format.mantissa_bits) - 1
        return -greatest, greatest
    if isinstance(number_format, Log2):
        return 0, max(number_format.fractions)
    tables = [grid_range.mantissa for grid_range in number_format.ranges()]
    return min(int(table.min()) for table in tables), max(int(table.max()) for table in tables)


def greatest_shift(number_format: NumberFormat) -> int:
    """Greatest shift of any code."""
    if isinstance(number_format, Minifloat):
        return max(number_format.largest_code >> number_format.mantissa_bits, 1) - 1
    if isinstance(number_format, Log2):
        return (number_format.code_count - 2) // number_format.root
    return number_format.shift


def zero_code(number_format: NumberFormat) -> int:
    """Code that stands for zero, as `encode` gives it."""
    return int(number_format.encode(0.0))
