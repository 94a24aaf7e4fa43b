"""The floating-point environment of kernels: rounding to nearest even, subnormals kept, no exception trapped.

A caller may have changed its own: `torch.set_flush_denormal` flushes subnormals to zero, C code may round in another
direction or trap. A thread has an environment of its own, so results would depend on the thread that computed them.
Kernels and the NumPy code beside them therefore run in the default one, and the caller's is put back after them. It is
the MXCSR of x86 and the FPCR of ARM; on other processors, the environment is left as it is.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, Final, ParamSpec, TypeVar

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ptqsim.kernels.runtime.jit import jit, native
from ptqsim.kernels.runtime.machine import COMPILED

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_BYTE, _INT32, _INT64, _VOID = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.VoidType()

_X86: Final = platform.machine() in ("x86_64", "AMD64")
_ARM: Final = platform.machine() in ("aarch64", "arm64")

DEFAULT: Final = 0x1F80 if _X86 else 0
"""Value of the register when a process starts: on x86 the six bits that mask the exceptions."""

_RAISED: Final = 0x3F if _X86 else 0
"""Bits that say which exceptions there were, and change nothing."""


def exchange(builder: Any, new: Any) -> Any:
    """Emit code that puts `new` into the register; what it held before. Both are int64."""
    before = _held(builder)
    if _X86:
        place = cgutils.alloca_once(builder, _INT32)
        builder.store(builder.trunc(new, _INT32), place)
        _call(builder, "llvm.x86.sse.ldmxcsr", _VOID, builder.bitcast(place, _BYTE.as_pointer()))
    if _ARM:
        _call(builder, "llvm.aarch64.set.fpcr", _VOID, new)
    return before


def _held(builder: Any) -> Any:
    """Emit code that reads the register; `DEFAULT` on processors whose register is not known."""
    if _X86:
        place = cgutils.alloca_once(builder, _INT32)
        _call(builder, "llvm.x86.sse.stmxcsr", _VOID, builder.bitcast(place, _BYTE.as_pointer()))
        return builder.zext(builder.load(place), _INT64)
    return _call(builder, "llvm.aarch64.get.fpcr", _INT64) if _ARM else _INT64(DEFAULT)


def _call(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    function = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), arguments)


def _generate_exchange(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return exchange(builder, values[0])


_intrinsic: Any = intrinsic  # numba types what it is given, and not what it gives


@_intrinsic
def _exchanged(typing_context, new):  # type: ignore[no-untyped-def]
    return types.int64(types.int64), _generate_exchange


def _generate_own(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return _held(builder)


@_intrinsic
def _own(typing_context):  # type: ignore[no-untyped-def]
    return types.int64(), _generate_own


def _is_default() -> bool:
    return bool(_own() & ~_RAISED == DEFAULT)


def _exchange(new: int) -> int:
    # Without a call of `int`, whose definition numba does not compile under NUMBA_DISABLE_JIT, where this still is.
    old: int = _exchanged(new)
    return old


@cache
def exchange_own() -> Callable[[int], int]:
    """A function that exchanges the register of the calling thread; it keeps Python's lock, which takes less time."""
    address: int = native(_exchange, types.int64(types.int64)).address
    return ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)


@cache
def _default_check() -> Callable[[], bool]:
    """A function that says whether the calling thread is in the default environment.

    It takes a fraction of the time of an exchange, which ctypes calls. It is compiled here, in the default environment.
    """
    if not COMPILED:
        return lambda: False
    exchanged = exchange_own()
    before = exchanged(DEFAULT)
    try:
        check = jit(_is_default)
        check()
    finally:
        exchanged(before)
    return check


def is_default() -> bool:
    """True if the calling thread is known to be in the default environment."""
    return _default_check()()


def in_default_environment(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run a function of Python in the default environment; the caller's is put back after it."""

    @wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if is_default():
            return function(*args, **kwargs)
        exchanged = exchange_own()
        before = exchanged(DEFAULT)
        try:
            return function(*args, **kwargs)
        finally:
            exchanged(before)

    return run
