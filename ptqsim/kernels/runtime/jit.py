"""The one place for compiler options.

In what is compiled, `np.empty` and an assignment take less of the compiler's time than `np.zeros`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core.ccallback import CFunc
from numba.core.sigutils import normalize_signature

import ptqsim.kernels
from ptqsim.common import fingerprint
from ptqsim.kernels.runtime import cache as _cache

Function = TypeVar("Function", bound=Callable[..., object])


# The compiler's cache notices changes of the file that a function is in, but not of other files whose functions were
# compiled into it. The name of every function therefore contains a digest of all files.
_SOURCES = fingerprint.folder(Path(ptqsim.kernels.__path__[0]), "*.py")[:12]


def jit(function: Function) -> Function:
    """Compile `function` on its first call; the machine code is cached on disk where there is a place for it."""
    return _compiled(function, fastmath=False)


def jit_sums(function: Function) -> Function:
    """The same for a function whose float sums may be taken in any order, as only vector code takes them quickly.

    The order depends on the processor and on nothing else.
    """
    return _compiled(function, fastmath={"reassoc"})


def inlined(function: Function) -> Function:
    """Inline `function` into the compiled functions that call it; it is not compiled by itself, which saves time."""
    return cast("Function", numba.jit(nopython=True, error_model="numpy", inline="always")(function))


def native(function: Callable[..., int], signature: object) -> Any:
    """Compile `function` for these types at once, to be called by its ``address``."""
    function.__qualname__ += f"-{_SOURCES}"
    # As numba.cfunc does, with a cache of our own.
    compiled: Any = CFunc(function, normalize_signature(signature), locals={}, options={"error_model": "numpy"})
    _cache.keep(compiled, function)
    compiled.compile()
    return compiled


def _compiled(function: Function, fastmath: bool | set[str]) -> Function:
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        # Compiled code does not warn of a quotient that overflows either.
        return np.errstate(all="ignore")(function)
    # nogil: the threads of threads.py run these loops side by side. error_model="numpy": a division by zero follows
    # IEEE instead of costing a branch per element. No fastmath but for sums: float results must be the bits of numpy
    # and torch.
    function.__qualname__ += f"-{_SOURCES}"
    compiler = numba.jit(nopython=True, nogil=True, error_model="numpy", fastmath=fastmath)
    compiled = compiler(function)
    _cache.keep(compiled, function)
    return cast("Function", compiled)
