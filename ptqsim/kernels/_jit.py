"""The one place for compiler options."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])

# nogil: the threads of _threads.py run these loops side by side. error_model="numpy": a division by zero follows IEEE
# instead of costing a branch per element. No fastmath: float results must be the same bits as numpy's and torch's.


def jit(function: Function) -> Function:
    """Compile `function` on its first call; the machine code is cached on disk."""
    return cast("Function", numba.jit(nopython=True, nogil=True, cache=True, error_model="numpy")(function))


def jit_contracted(function: Function) -> Function:
    """As `jit`, but a product and the addition after it may be fused into one rounding.

    Only for loops that say why their result does not depend on it.
    """
    options = {"contract"}
    compiled = numba.jit(nopython=True, nogil=True, cache=True, error_model="numpy", fastmath=options)(function)
    return cast("Function", compiled)
