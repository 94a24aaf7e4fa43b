"""Standard streams that take every text: in any locale, with any file name, closed or not."""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import Final

HANDLER: Final = "ptqsim"
"""Name of the error handler of what an encoding has no character for."""


def prepare() -> None:
    """Make stdout and stderr of this process safe to write to.

    A character that the encoding of a stream has not, such as the ellipsis in ASCII, becomes a question mark, and the
    bytes of a file name that is no UTF-8 are written as they are. A descriptor that is closed is opened on the null
    device: the next file to be opened would otherwise get its number, and with it what is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    codecs.register_error(HANDLER, _replaced)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for the whole process
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _replaced(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    codes = map(ord, error.object[error.start : error.end])
    return bytes(code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else ord("?") for code in codes), error.end
