"""Fences around the process that reads a pickle: no network, bounded memory, nothing started and nothing written.

``torch.load(weights_only=True)`` is what keeps a pickle from running code: it knows a list of harmless types and calls
nothing else.  The fences are for the day on which it has a hole.  This module imports nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_NEW_NET: Final = 0x40000000
_NEW_USER: Final = 0x10000000
_NO_NEW_PRIVILEGES: Final = 38

_FORBIDDEN: Final = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "os.remove", "os.rename",
    "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate", "os.kill", "os.putenv",
    "pty.spawn", "shutil.", "ctypes.", "urllib.", "http.", "ftplib.", "smtplib.", "webbrowser.",
)  # fmt: skip
"""Beginnings of the events of Python (PEP 578) that reading tensors has no use for."""

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def leave_network() -> str:
    """Put this process, which has one thread, into a network namespace of its own, in which no address can be reached.

    Returns
    -------
    str
        ``"namespace"``; ``"guard"`` where the kernel has no such namespaces for this user, so that the fence around
        sockets is all there is.
    """
    if sys.platform != "linux":
        return "guard"
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    left = any(libc.unshare(flags) == 0 for flags in (_NEW_NET, _NEW_NET | _NEW_USER))
    return "namespace" if left else "guard"


def bound_memory(more: int) -> None:
    """Let this process have so many bytes more than it has now, and leave no core behind."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    statm = Path("/proc/self/statm")
    if statm.exists():
        now = int(statm.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = now + more if hard == resource.RLIM_INFINITY else min(hard, now + more)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


class Fence:
    """A hook on Python's events; while it is closed, every one that reading has no use for is an error."""

    def __init__(self) -> None:
        self._closed = False
        self.met = ""
        sys.addaudithook(self._hook)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Close the fence; :attr:`met` is then the first event that it stopped, if any."""
        self._closed = True
        try:
            yield
        finally:
            self._closed = False

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._closed:
            return
        writes = event == "open" and len(arguments) > 2 and isinstance(arguments[2], int) and arguments[2] & _WRITING
        if writes or event.startswith(_FORBIDDEN):
            self.met = self.met or event
            raise PermissionError(f"reading a checkpoint has no use for {event}")
