"""A cache of machine code on disk, in numba's cache folder. Results never depend on it, and its files are verified.

Numba's own cache keeps an index per function, and ends the program if the index or the code is damaged or cannot be
written. Two processes that compile a function at the same time may also leave an index that names code for other types.
Here, every compiled function is one file, named after what it was compiled for. The file contains this name and a
digest, and is used only if both are right. If anything goes wrong with a file or a folder, the function is compiled,
and one warning per process says why that takes time, although every subpackage of kernels has its own cache folder.
"""

from __future__ import annotations

import pickle
import warnings
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import numba
from numba.core.caching import FunctionCache
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

_DIGEST_BYTES: Final = 32

_warned: list[str] = []


def _warn(text: str) -> None:
    """Warn of the first thing that goes wrong in this process; what follows has the same cause more often than not."""
    if not _warned:
        _warned.append(text)
        warnings.warn(text, RuntimeWarning, stacklevel=2)


def _unkept(what: str) -> None:
    _warn(
        f"{what}, so that every process compiles its kernels anew, which takes seconds; make room there and let it be "
        "written to, or name another folder in the environment variable NUMBA_CACHE_DIR",
    )


_numbas_cache: Any = FunctionCache  # typed in some releases of numba only


class KeptCode(_numbas_cache):  # type: ignore[misc]
    """A cache of compiled functions in the interface that numba expects.

    It raises a RuntimeError if there is no folder that can be written to.
    """

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._cache_file = _Files(self._cache_path, self._impl.filename_base)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The function compiled for these types, or None."""
        try:
            return super().load_overload(signature, target)
        except Exception as error:
            _warn(
                f"machine code in {self.cache_path} cannot be read ({_told(error)}) and is compiled anew, which takes "
                "seconds and changes no result; if this is said again, empty the folder"
            )
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep a compiled function."""
        try:
            super().save_overload(signature, compiled)
        except OSError as error:
            _unkept(f"machine code cannot be kept in {self.cache_path} ({_told(error)})")


class NoCode:
    """In the place of `KeptCode` where no folder can be written to."""

    cache_path = None

    def load_overload(self, signature: Any, target: Any) -> None:
        """Nothing is kept."""
        folder = numba.config.CACHE_DIR or AppDirs("numba", appauthor=False).user_cache_dir  # type: ignore[attr-defined]
        _unkept(f"machine code cannot be kept: neither {Path(__file__).parent} nor {folder} can be written to")

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Nothing is kept."""

    def flush(self) -> None:
        """Nothing is kept."""


class _Files:
    """The files of one function, each with the machine code for some types and some processor."""

    def __init__(self, folder: str, base: str) -> None:
        self._folder, self._base = Path(folder), base

    def load(self, key: Any) -> Any:
        """The entry saved under that key, or None.

        Raises
        ------
        Exception
            If there is something, and it is damaged.
        """
        try:
            content = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        digest, rest = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if sha256(rest).digest() != digest:
            raise ValueError(f"{self._path(key).name} is damaged")
        saved, data = pickle.loads(rest)
        return data if saved == key else None

    def save(self, key: Any, data: Any) -> None:
        """Save something; whoever else does, one of both is there, and no half of a file."""
        rest = dumps((key, data))
        path = self._path(key)
        partial = path.with_name(f"{path.name}.{uuid4().hex[:16]}")
        try:
            partial.write_bytes(sha256(rest).digest() + rest)
            partial.replace(path)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise

    def flush(self) -> None:
        """Remove all files of the function."""
        for path in self._folder.glob(f"{self._base}.*.nbc"):
            path.unlink(missing_ok=True)

    def _path(self, key: Any) -> Path:
        name = sha256(repr((numba.__version__, key)).encode()).hexdigest()[:16]
        return self._folder / f"{self._base}.{name}.nbc"


def _told(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"


def keep(compiled: Any, function: Any) -> None:
    """Have what numba compiles of a function kept, where there is a place for it."""
    try:
        compiled._cache = KeptCode(function)  # as its enable_caching() does
    except RuntimeError:  # neither the package's folder nor the user's cache folder can be written to
        compiled._cache = NoCode()
