"""Messages and exit statuses of failed commands.

==========  =======================================================================================
status      meaning
==========  =======================================================================================
0           done
1           a check found something (a mismatch, a trapped overflow), the system failed (disk or memory full, a tool),
            or nobody reads the output any more
2           wrong input or usage, or an extra that is not installed
130         interrupted
==========  =======================================================================================

Each failure is one line on stderr. What is not listed here is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import typer

from ptqsim.cli.framework.extras import missing_extra
from ptqsim.errors import AccumulatorOverflowError, ArgumentTypeError, ToolError, ToolTimeoutError

INPUT_ERRORS = (
    ValueError,
    ArgumentTypeError,  # any other TypeError is a bug
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)

_INPUT_NUMBERS: Final = (errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS)


class Interrupted(Exception):  # noqa: N818 - what happened, not an error
    """The user stopped the command; the message says what was kept and how to go on."""


@contextmanager
def on_interrupt(kept: Callable[[], str]) -> Iterator[None]:
    """Let Ctrl-C end a command with the line that ``kept`` returns at that moment.

    Examples
    --------
    >>> with on_interrupt(lambda: f"kept {path}; the same command resumes from step {step}"):
    ...     ...
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(kept()) from None


def explain(error: BaseException) -> tuple[int, str] | None:
    """Exit status and line for an error; None for an unexpected one.

    Parameters
    ----------
    error : BaseException
        What a command raised.

    Returns
    -------
    tuple of (int, str) or None
        The line is without a prefix and without line breaks.
    """
    status, text = 2, str(error)
    match error:
        case Interrupted():
            status, text = 130, f"interrupted; {error}" if text else "interrupted"
        case typer.TyperException():
            status, text = error.exit_code, _usage(error)
        case ModuleNotFoundError():
            missing = missing_extra(error)
            if missing is None:
                return None
            text = missing
        case AccumulatorOverflowError() | ToolError() | ToolTimeoutError():
            status = 1
        case MemoryError():
            status, text = 1, f"not enough memory{f' ({error})' if text else ''}: ask for less, such as fewer images"
        case UnicodeEncodeError():
            text = (
                f"{error.object!r} holds bytes that are no UTF-8, and {error.encoding} has no others: rename the file"
            )
        case OSError() if error.strerror:
            status = 2 if isinstance(error, INPUT_ERRORS) or error.errno in _INPUT_NUMBERS else 1
            text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        case _ if isinstance(error, INPUT_ERRORS):
            pass
        case _:
            return None
    return status, " ".join(text.split())


def _usage(error: typer.TyperException) -> str:
    """Typer's message, with the command whose help page knows better."""
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if context is None or not message:
        return message
    stop = "" if message.endswith((".", "?", ")")) else "."
    return f"{message}{stop} See '{context.command_path} --help'."
