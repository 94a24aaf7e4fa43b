"""Number formats of operands by the names that commands take."""

from __future__ import annotations

import ptqsim as pq
from ptqsim.cli.blocks import refuse_blocks
from ptqsim.errors import unknown_name

A_FORMATS = ("uniform", "twin_softmax", "twin_gelu", "log2")
FLOATS = {fmt.name.lower().removesuffix("fn"): fmt for fmt in (pq.E5M2, pq.E4M3, pq.E3M4, pq.E3M2, pq.E2M3, pq.E2M1)}
ROOTS = {"log_sqrt2": 2, "log_root4": 4}
LEFT_FORMATS = (*A_FORMATS, *ROOTS, *FLOATS)
RIGHT_FORMATS = ("uniform", *FLOATS)
DEFAULT_BITS = 8


def make_format(
    name: str | None, bits: int | None, shift: int | None, unsigned: bool = False, zero_point: int = 0
) -> pq.NumberFormat:
    """The left operand's format; scales are 1 where they are free, as no bound depends on them.

    Raises
    ------
    ValueError
        For an unknown name, a twin format without a shift, a shift for one that has none, a width that is not that of
        the name, or unsigned codes or a zero point of another format than uniform.
    """
    refuse_blocks("--a-format", name, LEFT_FORMATS)
    if (unsigned or zero_point) and (shift is not None or name not in (None, "uniform")):
        raise ValueError("unsigned codes and zero points are those of uniform: leave --shift and --a-format out")
    if name in FLOATS and shift is None:
        return _float(name, bits, "--b-bits, for the right operand, is another option")
    bits = DEFAULT_BITS if bits is None else bits
    if name in ROOTS and shift is None:
        return pq.Log2(bits, root=ROOTS[name])
    match ("uniform" if shift is None else "twin_gelu") if name is None else name, shift:
        case "uniform", None:
            return pq.Uniform(bits, 1.0, signed=not unsigned, zero_point=zero_point)
        case "log2", None:
            return pq.Log2(bits)
        case "uniform" | "log2" as plain, _:
            raise ValueError(f"{plain} has one range and no shift, got --shift {shift}: try --a-format twin_gelu")
        case "twin_softmax" | "twin_gelu" as twin, None:
            raise ValueError(f"{twin} needs its alignment exponent: give --shift, for instance --shift 8")
        case "twin_softmax", int(exponent):
            return pq.TwinSoftmax(bits, exponent)
        case "twin_gelu", int(exponent):
            return pq.TwinGELU(bits, exponent, scale=1.0)
        case _:
            if name in FLOATS or name in ROOTS:
                raise ValueError(f"{name} has one range and no shift, got --shift {shift}: leave --shift out")
            raise unknown_name("--a-format", name, LEFT_FORMATS)


def make_right_format(
    name: str | None, bits: int | None, left_bits: int | None, unsigned: bool = False, zero_point: int = 0
) -> pq.NumberFormat:
    """The right operand's format: uniform codes of the left one's width by default, or a small float.

    Raises
    ------
    ValueError
        For an unknown name, a width that is not that of the name, or unsigned codes or a zero point of a small float.
    """
    refuse_blocks("--b-format", name, RIGHT_FORMATS)
    if (unsigned or zero_point) and name not in (None, "uniform"):
        raise ValueError("unsigned codes and zero points are those of uniform: leave --b-format out")
    if name in FLOATS:
        return _float(name, bits, "leave --b-bits out")
    if name not in (None, "uniform"):
        raise unknown_name("--b-format", name, RIGHT_FORMATS)
    chosen = left_bits if bits is None else bits
    return pq.Uniform(DEFAULT_BITS if chosen is None else chosen, scale=1.0, signed=not unsigned, zero_point=zero_point)


def called(number_format: pq.NumberFormat) -> str:
    """A format and its width, as titles have it."""
    name = number_format.name if isinstance(number_format, pq.Minifloat) else number_format.kind
    root = f" root {number_format.root}" if isinstance(number_format, pq.Log2) and number_format.root > 1 else ""
    return f"{name}{root} {number_format.bits} bits"


def _float(name: str, bits: int | None, advice: str) -> pq.Minifloat:
    found = FLOATS[name]
    if bits not in (None, found.bits):
        raise ValueError(f"{name} has codes of {found.bits} bits, got a width of {bits}: leave it out; {advice}")
    return found
