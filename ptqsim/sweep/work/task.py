"""A unit of work as it travels to a worker, and what comes back."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, Final, Literal

from ptqsim.errors import AccumulatorOverflowError
from ptqsim.sweep.work.content import MissingContent

Status = Literal["done", "trapped", "failed", "missing", "stopped"]
Work = Callable[["WorkTask"], Mapping[str, Any]]
_TRACE: Final = 4000  # characters of a traceback that are kept


@dataclass(frozen=True, slots=True)
class WorkTask:
    """Something to compute, once.

    Attributes
    ----------
    key : str
        Of everything that decides the result; the result is stored under it.
    kind : str
        ``calibration`` or ``point``.
    work : str
        The function that does it, as ``module:name``.
    payload : mapping
        What the function needs.
    """

    key: str
    kind: str
    work: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of a task.

    Attributes
    ----------
    key : str
    status : {"done", "trapped", "failed", "missing", "stopped"}
        ``trapped``: the datapath met the overflow that it traps.  ``missing``: files have to be sent first.
        ``stopped``: the machine failed (its disk is full), and not the task.
    values : mapping
        What the function returned.
    error : str or None
    missing : tuple of str
        Names of the files that are missing.
    seconds : float
    host, process : str, int
    address : str
        Of the worker; known where files are missing.
    """

    key: str
    status: Status
    values: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    missing: tuple[str, ...] = ()
    seconds: float = 0.0
    host: str = ""
    process: int = 0
    address: str = ""


def perform(task: WorkTask) -> Outcome:
    """Do a task in a worker. Every error becomes an outcome, so that other tasks continue."""
    host, process = socket.gethostname(), os.getpid()
    start = time.perf_counter()

    def outcome(status: Status, **more: Any) -> Outcome:
        return Outcome(task.key, status, seconds=time.perf_counter() - start, host=host, process=process, **more)

    try:
        with _ALONE:
            values = _function(task.work)(task)
    except MissingContent as request:
        return outcome("missing", missing=request.names)
    except AccumulatorOverflowError as error:
        return outcome("trapped", error=str(error))
    except OSError as error:
        status: Status = "stopped" if error.errno in _DISK_FULL else "failed"
        return outcome(status, error=_told(error))
    except Exception as error:
        return outcome("failed", error=_told(error))
    return outcome("done", values=values)


_ALONE: Final = threading.Lock()  # a worker with several threads does one task at a time: torch's settings are global
_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@cache
def _function(target: str) -> Work:
    module, _, name = target.partition(":")
    found: Work = getattr(import_module(module), name)
    return found


def _told(error: BaseException) -> str:
    """The error, and where it was raised."""
    head = "".join(traceback.format_exception_only(error)).strip()
    trace = "".join(traceback.format_tb(error.__traceback__))
    return f"{head}\n{trace[-_TRACE:]}"
