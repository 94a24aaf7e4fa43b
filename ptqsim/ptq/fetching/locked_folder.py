"""A folder of the cache, made by one process at a time, whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_SUFFIX: Final = ".partial"


@contextmanager
def locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Have a folder to oneself among processes; who comes second says so and waits.

    What a process that was killed has left is removed. The lock ends with the process.

    Parameters
    ----------
    folder : Path
        That is or will be there.
    say : callable
        Takes a line for the user.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is making {folder}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.parent.glob(f".{folder.name}.*{_SUFFIX}"):
            shutil.rmtree(left, ignore_errors=True)
        yield


@contextmanager
def replacing_folder(folder: Path, size: int) -> Iterator[Path]:
    """Make a folder anew: its content goes to the folder that this yields, which takes its place at the end.

    Parameters
    ----------
    folder : Path
        Locked by the caller.
    size : int
        Bytes that the work needs.

    Raises
    ------
    OSError
        Where the disk has less than that free.
    """
    free = shutil.disk_usage(folder.parent).free
    if free < size:
        needed = f"{size // 10**6:,} MB are needed, {free // 10**6:,} MB are free"
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}, {needed}", str(folder.parent))
    made = _name_beside(folder)
    made.mkdir()
    try:
        yield made
        if folder.exists():
            old = _name_beside(folder)
            folder.rename(old)
            made.rename(folder)
            shutil.rmtree(old)
        else:
            made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _name_beside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.{secrets.token_hex(4)}{_SUFFIX}")
