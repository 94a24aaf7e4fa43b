"""Waiting for another thread without sleeping: to wake a sleeping core takes longer than the product of a head."""

from __future__ import annotations

import platform
import time
from functools import cache
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from ptqsim.kernels._jit import inlined, jit

_WORD = 8
_INT32, _INT64 = ir.IntType(32), ir.IntType(64)

# What tells the processor that a loop only waits, by architecture; elsewhere it is not told.
_PAUSES: Final = {
    "x86_64": ("llvm.x86.sse2.pause", ()), "AMD64": ("llvm.x86.sse2.pause", ()),
    "aarch64": ("llvm.aarch64.hint", (1,)), "arm64": ("llvm.aarch64.hint", (1,)),
}  # fmt: skip

_intrinsic: Any = intrinsic  # numba types what it is given, and not what it gives


def _place(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    array = make_array(signature.args[0])(context, builder, value=values[0])
    return builder.gep(array.data, [context.cast(builder, values[1], signature.args[1], types.intp)])


def _generate_read(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return builder.load_atomic(_place(context, builder, signature, values), "acquire", align=_WORD)


@_intrinsic
def _read(typing_context, words, index):  # type: ignore[no-untyped-def]
    """A word as other threads left it, and all that they wrote before."""
    return types.int64(words, index), _generate_read


def _generate_write(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    value = context.cast(builder, values[2], signature.args[2], types.int64)
    builder.store_atomic(value, _place(context, builder, signature, values), "release", align=_WORD)
    return context.get_dummy_value()


@_intrinsic
def _write(typing_context, words, index, value):  # type: ignore[no-untyped-def]
    """Put a word where other threads read it, after all that was written before."""
    return types.void(words, index, value), _generate_write


def _generate_pause(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    if platform.machine() in _PAUSES:
        name, numbers = _PAUSES[platform.machine()]
        function = ir.FunctionType(ir.VoidType(), [_INT32] * len(numbers))
        builder.call(
            cgutils.get_or_insert_function(builder.module, function, name), [_INT32(number) for number in numbers]
        )
    return context.get_dummy_value()


@_intrinsic
def _pause(typing_context):  # type: ignore[no-untyped-def]
    """A moment in which a loop waits."""
    return types.void(), _generate_pause


@jit
def until(words: Any, index: int, least: int, pauses: int) -> bool:
    """Wait until a word is at least `least`, for so many pauses at most; whether it is."""
    return _until(words, index, least, pauses)


@jit
def tell_and_wait(words: Any, own: int, value: int, other: int, least: int, pauses: int, after: int) -> None:
    """Put `value` into word `own`, then wait until word `other` is at least `least`; and, if it is, `after` pauses."""
    _write(words, own, value)
    if _until(words, other, least, pauses):
        for _ in range(after):
            _pause()


@inlined
def _until(words: Any, index: int, least: int, pauses: int) -> bool:
    for _ in range(pauses):
        if _read(words, index) >= least:
            return True
        _pause()
    return False


@cache
def pauses(microseconds: float) -> int:
    """How many pauses take so long on this processor."""
    words, count, shortest = np.zeros(1, np.int64), 1000, np.inf
    for _ in range(5):  # the first call compiles, and others may be interrupted
        start = time.perf_counter()
        until(words, 0, 1, count)
        shortest = min(shortest, time.perf_counter() - start)
    return int(microseconds * 1e-6 * count / shortest)
