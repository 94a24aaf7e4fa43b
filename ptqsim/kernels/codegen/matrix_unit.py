"""The matrix unit of Intel AMX: tile registers, and one instruction that multiplies two of them.

Eight tile registers hold 16 lines of 64 bytes each. ``tdpbusd`` multiplies one of 16 x 64 unsigned bytes by one of 64 x
16 signed bytes, the latter in words of four bytes that follow each other in depth, and adds the products to one of 16 x
16 int32, mod 2**32. Two by two of them hold results, so that every tile of bytes that is loaded is used twice.

LLVM does not allocate tile registers that are named by number, so nothing else may use them between `configure` and
`release`.
"""

from __future__ import annotations

from itertools import product
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from ptqsim.kernels.codegen.geometry import COLUMNS

DEPTH: Final = 64
"""Bytes of depth that one instruction takes; operands are filled up with zeros to a multiple of it."""

LINES: Final = 16
"""Rows, and columns, of a tile of results."""

HEIGHT: Final = 2 * LINES
"""Rows that `multiply` can take."""

_WORD = 4
_TILE = LINES * DEPTH
_RESULTS = 4
_LEFT, _RIGHT = _RESULTS, _RESULTS + 2

_BYTE, _INT64 = ir.IntType(8), ir.IntType(64)
_POINTER = _BYTE.as_pointer()

_intrinsic: Any = intrinsic  # numba types what it is given, and not what it gives


def _shapes() -> Any:
    """Operand of ``ldtilecfg``: palette 1, then bytes per line (16 bits each) and lines of every tile register."""
    shapes = np.zeros(64, np.uint8)
    shapes[0] = 1
    shapes[16:32].view(np.uint16)[:] = DEPTH
    shapes[48:56] = LINES
    return shapes


SHAPES: Final = _shapes()
"""Shapes of the tile registers, for `configure`."""


def _call(builder: Any, name: str, *arguments: Any) -> None:
    signature = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    builder.call(cgutils.get_or_insert_function(builder.module, signature, f"llvm.x86.{name}"), arguments)


def _generate_configure(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    shapes = make_array(signature.args[0])(context, builder, value=values[0]).data
    _call(builder, "ldtilecfg", builder.bitcast(shapes, _POINTER))
    return context.get_dummy_value()


@_intrinsic
def configure(typing_context, shapes):  # type: ignore[no-untyped-def]
    """Give the tile registers of this thread their shapes."""
    return types.void(shapes), _generate_configure


def _generate_release(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    _call(builder, "tilerelease")
    return context.get_dummy_value()


@_intrinsic
def release(typing_context):  # type: ignore[no-untyped-def]
    """Let go of the tile registers of this thread."""
    return types.void(), _generate_release


def _generate_multiply(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    kinds = signature.args
    strips, panels, registers = (
        builder.bitcast(make_array(kinds[i])(context, builder, value=values[i]).data, _POINTER) for i in (0, 2, 9)
    )
    strip, panel, depth, start, stop, rows, columns, keep = (
        context.cast(builder, values[i], kinds[i], types.intp) for i in (1, 3, 4, 5, 6, 7, 8, 10)
    )
    line = _INT64(COLUMNS * _WORD)
    first_step, last_step = (builder.udiv(place, _INT64(DEPTH)) for place in (start, stop))

    def after(pointer: Any, *offset: Any) -> Any:
        """The address so many times so many bytes further."""
        return builder.gep(pointer, [builder.mul(*offset)])

    left = after(strips, strip, depth)
    right = after(panels, panel, line)

    def through(column: Any, tall: int, wide: int) -> None:
        """All of the steps, for `tall` times `wide` tiles of results from `column` on."""
        lefts, rights = range(_LEFT, _LEFT + tall), range(_RIGHT, _RIGHT + wide)
        cells = [(y, x, _BYTE(2 * y + x)) for y in range(tall) for x in range(wide)]
        first = after(registers, column, _INT64(_WORD))
        places = [builder.gep(first, [_INT64((y * LINES * COLUMNS + x * LINES) * _WORD)]) for y, x, _ in cells]
        with builder.if_else(builder.icmp_signed("!=", keep, _INT64(0))) as (kept, new):
            with kept:
                for (_, _, number), place in zip(cells, places, strict=True):
                    _call(builder, "tileloadd64", number, place, line)
            with new:
                for _, _, number in cells:
                    _call(builder, "tilezero", number)
        band = after(right, builder.udiv(column, _INT64(LINES)), _INT64(_TILE))
        with cgutils.for_range_slice(builder, first_step, last_step, _INT64(1), _INT64) as (step, _):
            here = after(left, step, _INT64(DEPTH))
            for y, number in enumerate(lefts):
                _call(builder, "tileloadd64", _BYTE(number), after(here, depth, _INT64(y * LINES)), depth)
            here = after(band, step, _INT64(DEPTH * COLUMNS))
            for x, number in enumerate(rights):
                _call(builder, "tileloadd64", _BYTE(number), builder.gep(here, [_INT64(x * _TILE)]), _INT64(DEPTH))
            for y, x, number in cells:
                _call(builder, "tdpbusd", number, _BYTE(lefts[y]), _BYTE(rights[x]))
        for (_, _, number), place in zip(cells, places, strict=True):
            _call(builder, "tilestored64", number, place, line)

    is_tall = builder.icmp_signed(">", rows, _INT64(LINES))
    with cgutils.for_range_slice(builder, _INT64(0), columns, _INT64(2 * LINES), _INT64) as (column, _):
        is_wide = builder.icmp_signed(">", builder.sub(columns, column), _INT64(LINES))
        for tall, wide in product((1, 2), (1, 2)):
            fits = [which if size == 2 else builder.not_(which) for which, size in ((is_tall, tall), (is_wide, wide))]
            with builder.if_then(builder.and_(*fits)):
                through(column, tall, wide)
    return context.get_dummy_value()


@_intrinsic
def multiply(  # type: ignore[no-untyped-def]
    typing_context, strips, strip, panels, panel, depth, start, stop, rows, columns, registers, keep
):
    """Add a product of bytes to `registers`, int32 [HEIGHT, COLUMNS], or put it there if not `keep`.

    `strips` uint8 [..., depth] are read from line `strip` on: all lines of as many tiles as hold `rows` rows. `panels`
    int32 [..., depth / DEPTH, COLUMNS / LINES, LINES, LINES] are read from the number `panel` of ``COLUMNS`` words on.
    `depth`, and `start` and `stop`, between which it is gone through, are multiples of ``DEPTH``. Beyond `rows` and
    `columns` the registers may be changed or left as they are.
    """
    kinds = (strips, strip, panels, panel, depth, start, stop, rows, columns, registers, keep)
    return types.void(*kinds), _generate_multiply
