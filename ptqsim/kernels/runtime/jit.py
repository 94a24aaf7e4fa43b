"""The one place for compiler options.

In what is compiled, `np.empty` and an assignment take less of the compiler's time than `np.zeros`.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np

Function = TypeVar("Function", bound=Callable[..., object])

# The compiler's cache notices a change of the file that a function is in, and not of the files whose functions went
# into it. With a digest of them all in its name no function is taken for an older one.
_SOURCES = sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()[:12]


def jit(function: Function) -> Function:
    """Compile `function` on its first call; the machine code is cached on disk where there is a place for it."""
    return _cached(function, fastmath=False)


def jit_sums(function: Function) -> Function:
    """The same for a function whose float sums may be taken in any order, as only vector code takes them quickly.

    The order depends on the processor and on nothing else.
    """
    return _cached(function, fastmath={"reassoc"})


def inlined(function: Function) -> Function:
    """A piece of a compiled function: compiled where it is called, and nowhere else, which takes less time."""
    return cast("Function", numba.jit(nopython=True, error_model="numpy", inline="always")(function))


def native(function: Callable[..., int], signature: object) -> Any:
    """Compile `function` for these types at once, to be called by its ``address``."""
    function.__qualname__ += f"-{_SOURCES}"
    compiler: Any = numba.cfunc  # its types do not know what it passes on
    try:
        return compiler(signature, nopython=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # as below
        return compiler(signature, nopython=True, error_model="numpy")(function)


def _cached(function: Function, fastmath: bool | set[str]) -> Function:
    function.__qualname__ += f"-{_SOURCES}"
    try:
        return cast("Function", _one_writer(_compiled(function, fastmath, cache=True)))
    except RuntimeError:  # neither the package's folder nor the user's cache folder can be written
        return _compiled(function, fastmath, cache=False)


def _one_writer(dispatcher: Any) -> Any:
    """Let one process at a time add machine code to the cache of a function.

    Numba numbers the files of a function, one for the types of its arguments each, as it meets them. Two processes that
    compile for different types at the same time would take the same number, and one later load the other's code.
    """
    file = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if file is not None:
        save = file.save

        def save_alone(key: object, data: object) -> None:
            with (Path(file._cache_path) / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                save(key, data)

        file.save = save_alone
    return dispatcher


def _compiled(function: Function, fastmath: bool | set[str], cache: bool) -> Function:
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        # Compiled code does not warn of a quotient that overflows either.
        return np.errstate(all="ignore")(function)
    # nogil: the threads of _threads.py run these loops side by side. error_model="numpy": a division by zero follows
    # IEEE instead of costing a branch per element. No fastmath but for sums: float results must be the bits of numpy
    # and torch.
    compiler = numba.jit(nopython=True, nogil=True, cache=cache, error_model="numpy", fastmath=fastmath)
    return cast("Function", compiler(function))
