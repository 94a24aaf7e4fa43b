"""Folders for data that do not fit in memory, which end with the process, and at the latest with the next one.

A process that is killed can't tidy up. Each folder therefore has a lock that its process holds as long as it lives,
and whoever makes a folder first removes those whose lock nobody holds.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
import weakref
from pathlib import Path
from typing import Final

_LOCK: Final = ".lock"
_NEW: Final = 60.0
"""Seconds in which a folder may be one that is still being made."""


class ScratchFolder:
    """A new folder in that for temporary files, removed by `cleanup` or with the object.

    Parameters
    ----------
    prefix : str
        Beginning of its name. Folders of that name that processes left behind are removed.
    """

    def __init__(self, prefix: str) -> None:
        _remove_left(Path(tempfile.gettempdir()), prefix)
        self._folder = tempfile.TemporaryDirectory(prefix=prefix)
        self.path = Path(self._folder.name)
        lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        self._unlock = weakref.finalize(self, os.close, lock)
        _taken(lock)

    def cleanup(self) -> None:
        """Remove the folder and what is in it; a second time does nothing."""
        self._unlock()
        self._folder.cleanup()


def _remove_left(parent: Path, prefix: str) -> None:
    for folder in parent.glob(f"{prefix}*"):
        try:
            if time.time() - folder.stat().st_mtime < _NEW:
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR)
        except OSError:  # another user's, without a lock, or removed by another process at the same time
            continue
        try:
            if _taken(lock):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _taken(lock: int) -> bool:
    """True if the lock is this process's now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
