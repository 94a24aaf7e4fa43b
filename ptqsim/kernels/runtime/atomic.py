"""Words of memory that several threads read and write, by their address; and calls of compiled code by its address."""

from __future__ import annotations

import platform
from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_WORD = 8
_INT32, _INT64 = ir.IntType(32), ir.IntType(64)

# What tells the processor that a loop only waits, by architecture; elsewhere it is not told.
_PAUSES: Final = {
    "x86_64": ("llvm.x86.sse2.pause", ()), "AMD64": ("llvm.x86.sse2.pause", ()),
    "aarch64": ("llvm.aarch64.hint", (1,)), "arm64": ("llvm.aarch64.hint", (1,)),
}  # fmt: skip

_intrinsic: Any = intrinsic  # numba types what it is given, and not what it gives


def _place(builder: Any, values: Any) -> Any:
    return builder.gep(builder.inttoptr(values[0], _INT64.as_pointer()), [values[1]])


def _generate_load(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return builder.load_atomic(_place(builder, values), "acquire", align=_WORD)


@_intrinsic
def load(typing_context, address, index):  # type: ignore[no-untyped-def]
    """A word as other threads left it, and all that they wrote before."""
    return types.int64(types.int64, types.int64), _generate_load


def _generate_store(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    builder.store_atomic(values[2], _place(builder, values), "release", align=_WORD)
    return context.get_dummy_value()


@_intrinsic
def store(typing_context, address, index, value):  # type: ignore[no-untyped-def]
    """Put a word where other threads read it, after all that was written before."""
    return types.void(types.int64, types.int64, types.int64), _generate_store


def _generate_compare_exchange(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    found = builder.cmpxchg(_place(builder, values), values[2], values[3], "acq_rel", "acquire")
    return builder.extract_value(found, 1)


@_intrinsic
def compare_exchange(typing_context, address, index, old, new):  # type: ignore[no-untyped-def]
    """Put `new` in a word that holds `old`; whether it did."""
    return types.boolean(types.int64, types.int64, types.int64, types.int64), _generate_compare_exchange


def _generate_fetch_add(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return builder.atomic_rmw("add", _place(builder, values), values[2], "acq_rel")


@_intrinsic
def fetch_add(typing_context, address, index, value):  # type: ignore[no-untyped-def]
    """Add to a word; what it was before."""
    return types.int64(types.int64, types.int64, types.int64), _generate_fetch_add


def _generate_fetch_or(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return builder.atomic_rmw("or", _place(builder, values), values[2], "acq_rel")


@_intrinsic
def fetch_or(typing_context, address, index, bits):  # type: ignore[no-untyped-def]
    """Set bits of a word; what it was before."""
    return types.int64(types.int64, types.int64, types.int64), _generate_fetch_or


def _generate_pause(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    if platform.machine() in _PAUSES:
        name, numbers = _PAUSES[platform.machine()]
        function = ir.FunctionType(ir.VoidType(), [_INT32] * len(numbers))
        builder.call(
            cgutils.get_or_insert_function(builder.module, function, name), [_INT32(number) for number in numbers]
        )
    return context.get_dummy_value()


@_intrinsic
def pause(typing_context):  # type: ignore[no-untyped-def]
    """A moment in which a loop waits."""
    return types.void(), _generate_pause


def _generate_call(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    function = ir.FunctionType(_INT64, [_INT64] * (len(values) - 1))
    return builder.call(builder.inttoptr(values[0], function.as_pointer()), values[1:])


@_intrinsic
def call(typing_context, address, first, second, third):  # type: ignore[no-untyped-def]
    """Call a function from three words to a word."""
    return types.int64(types.int64, types.int64, types.int64, types.int64), _generate_call


@_intrinsic
def call_plain(typing_context, address):  # type: ignore[no-untyped-def]
    """Call a function that takes nothing and gives a word."""
    return types.int64(types.int64), _generate_call
