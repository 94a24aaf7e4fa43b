"""Transposing a square of words: what compilers do not find in loops over arrays."""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from ptqsim.kernels.codegen.geometry import ROWS
from ptqsim.kernels.runtime.machine import COMPILED

_INT32: Final = ir.IntType(32)
_VECTOR: Final = ir.VectorType(_INT32, ROWS)
_WORD: Final = 4

_intrinsic: Any = intrinsic  # numba types what it is given, and not what it gives


def _generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    source, target = (make_array(signature.args[i])(context, builder, value=values[i]).data for i in (0, 3))
    at, step, to = values[1], values[2], values[4]

    def vector(array: Any, index: Any) -> Any:
        return builder.bitcast(builder.gep(array, [index]), _VECTOR.as_pointer())

    lines = []
    for _ in range(ROWS):
        lines.append(builder.load(vector(source, at), align=_WORD))
        at = builder.add(at, step)
    # To interleave each line with the one half of all lines further, log2(ROWS) times, transposes the square.
    halves = [[i // 2 + i % 2 * ROWS + half for i in range(ROWS)] for half in (0, ROWS // 2)]
    masks = [ir.Constant(_VECTOR, half) for half in halves]
    for _ in range(ROWS.bit_length() - 1):
        pairs = zip(lines[: ROWS // 2], lines[ROWS // 2 :], strict=True)
        lines = [builder.shuffle_vector(one, other, mask) for one, other in pairs for mask in masks]
    for number, line in enumerate(lines):
        builder.store(line, vector(target, builder.add(to, to.type(number * ROWS))), align=_WORD)
    return context.get_dummy_value()


@_intrinsic
def _transpose(typing_context, source, at, step, target, to):  # type: ignore[no-untyped-def]
    return types.void(source, types.int64, types.int64, target, types.int64), _generate


def _transpose_in_numpy(source: Any, at: int, step: int, target: Any, to: int) -> None:
    lines = [source.reshape(-1)[at + r * step :][:ROWS] for r in range(ROWS)]
    for number, line in enumerate(zip(*lines, strict=True)):
        target.reshape(-1)[to + number * ROWS :][:ROWS] = line


transpose: Any = _transpose if COMPILED else _transpose_in_numpy
"""``transpose(source, at, step, target, to)``: ROWS lines of as many int32, `step` apart, become the columns of ROWS
lines that follow each other. Both arrays are contiguous, `at` and `to` the numbers of their first elements.
"""
