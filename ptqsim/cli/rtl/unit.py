"""Options of a hardware unit, and the unit that they describe."""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

import typer

from ptqsim.cli.framework.options import make_accumulator
from ptqsim.cli.number_formats import FLOATS, LEFT_FORMATS, RIGHT_FORMATS, called, make_format, make_right_format
from ptqsim.formats.base import NumberFormat
from ptqsim.rtl import Unit

MOST_SECONDS: Final = 1e6
"""Of a time limit: no tool takes an infinite one."""

DepthOption = Annotated[int, typer.Option("--depth", help="Greatest number of products per output, K.")]
ABitsOption = Annotated[int, typer.Option("--a-bits", help="Width of the left codes, 2 to 16.")]
BBitsOption = Annotated[int | None, typer.Option("--b-bits", help="Width of the right codes; as --a-bits.")]
ShiftOption = Annotated[int | None, typer.Option("--shift", help="Alignment exponent m of a twin format.")]
AFormatOption = Annotated[
    str | None, typer.Option("--a-format", help=f"One of {', '.join(LEFT_FORMATS)}; to generate, also of blocks.")
]
BFormatOption = Annotated[str | None, typer.Option("--b-format", help=f"One of {', '.join(RIGHT_FORMATS)}.")]
RuntimeOption = Annotated[
    bool, typer.Option("--runtime-shift", help="The shift is an input, 0 to --shift: one unit for all layers.")
]
MultiplierOption = Annotated[str, typer.Option("--multiplier", help="behavioral or baugh_wooley.")]
NameOption = Annotated[str, typer.Option("--name", help="Prefix of every module.")]
ColumnsOption = Annotated[
    int | None, typer.Option("--columns", min=1, help="Columns of a weight-stationary tile; none by default.")
]


class ZeroPoints(NamedTuple):
    """The options of unsigned codes and zero points."""

    a_unsigned: bool = False
    a_zero_point: int = 0
    b_unsigned: bool = False
    b_zero_point: int = 0
    zero_point: str | None = None


def make_unit(
    bits: int,
    overflow: str,
    order: str,
    alignment: str,
    depth: int,
    a_bits: int,
    b_bits: int | None,
    shift: int | None,
    a_format: str | None,
    runtime_shift: bool = False,
    multiplier: str = "behavioral",
    name: str = "ptqsim",
    zero_points: ZeroPoints | None = None,
    b_format: str | None = None,
) -> Unit:
    """The unit that the options describe; the left operand is twin_gelu where a shift is given, else uniform."""
    given = ZeroPoints() if zero_points is None else zero_points
    return Unit(
        make_format(a_format, None if a_format in FLOATS else a_bits, shift, given.a_unsigned, given.a_zero_point),
        make_right_format(b_format, b_bits, a_bits, given.b_unsigned, given.b_zero_point),
        make_accumulator(bits, overflow, order, alignment, given.zero_point),
        depth,
        runtime_shift,
        multiplier,
        name,
    )


def describe(unit: Unit) -> str:
    """The unit in a line."""
    accumulator = unit.accumulator
    shift = f", m {'up to ' if unit.runtime_shift else ''}{unit.a.shift}" if unit.twins else ""
    corrected = f", {accumulator.zero_point}" if unit.corrects else ""
    return (
        f"{_called(unit.a)}{shift}, times {_called(unit.b)}; P = {accumulator.bits}, "
        f"{accumulator.overflow}, {accumulator.order.kind}, {accumulator.alignment}{corrected}; depth {unit.depth}"
    )


def _called(number_format: NumberFormat) -> str:
    """A format in a few words."""
    unsigned = "" if getattr(number_format, "signed", True) else "unsigned "
    zero_point = f", zero point {number_format.zero_point}" if number_format.zero_point else ""
    return f"{unsigned}{called(number_format)}{zero_point}"
