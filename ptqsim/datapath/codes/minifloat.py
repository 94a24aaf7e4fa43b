"""Codes of small floats in Python integers and fractions: what they stand for, and how reals are rounded to them."""

from __future__ import annotations

from fractions import Fraction

from ptqsim.formats.floats.minifloat import Minifloat, SpecialValues


def minifloat_aligned(code: int, number_format: Minifloat) -> int:
    """The integer that a code stands for, in units of the least positive number.

    Raises
    ------
    ValueError
        If the code is infinity or NaN.
    """
    e_bits, m_bits = number_format.exponent_bits, number_format.mantissa_bits
    fraction = code % (1 << m_bits)
    field = (code >> m_bits) % (1 << e_bits)
    ones, full = field == (1 << e_bits) - 1, fraction == (1 << m_bits) - 1
    special = number_format.special
    if (special == SpecialValues.IEEE and ones) or (special == SpecialValues.FN and ones and full):
        raise ValueError(f"code {code:#04x} of {number_format.name} is infinity or NaN, which has no aligned value")
    significand = fraction if field == 0 else (1 << m_bits) + fraction
    shifted = significand << (max(field, 1) - 1)
    return -shifted if code >> (e_bits + m_bits) else shifted


def minifloat_code(quotient: Fraction, number_format: Minifloat) -> int | None:
    """The code of a magnitude x / scale, rounded half to even; None beyond the largest number.

    Parameters
    ----------
    quotient : Fraction
        Zero or more.
    number_format : Minifloat
        The format.
    """
    m_bits, least = number_format.mantissa_bits, 1 - number_format.bias
    # 2**(bits - 1) <= quotient < 2**(bits + 1), but for zero
    bits = quotient.numerator.bit_length() - quotient.denominator.bit_length() if quotient else least
    exponent = max(bits if quotient >= Fraction(2) ** bits else bits - 1, least)
    steps = quotient / Fraction(2) ** (exponent - m_bits)
    whole, rest = divmod(steps, 1)
    code = ((exponent - least) << m_bits) + int(whole)
    if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and code % 2):
        code += 1
    return code if code <= number_format.largest_code else None
