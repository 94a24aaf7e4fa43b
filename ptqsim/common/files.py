"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

_MODE: Final = 0o666  # less what the umask takes away: that of every file that open() makes
_LONGEST_NAME: Final = 200  # bytes of the target's name in that of its temporary file; a name has at most 255


PARTIAL: Final = re.compile(r"\.(.+)\.[0-9]+-[0-9a-f]{8}\.partial")
"""Name of a temporary file, which a process that was killed may have left; the group is that of its target."""


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the place of ``path`` when it is finished.

    The content goes to a temporary file in the same folder, which is synchronized and renamed at the end. Whenever the
    process or the machine stops, ``path`` is what it was before, or whole. At an error or an interruption the temporary
    file is removed. The mode is 0666 less the umask. A symbolic link is followed, and missing folders are made.

    Parameters
    ----------
    path : str or Path
        The file to write.

    Yields
    ------
    binary file

    Raises
    ------
    ValueError
        If ``path`` is a device or another thing that is no regular file.
    OSError
        If it cannot be written; the error names ``path``, also where the operating system names no file, as for a full
        disk.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise ValueError(f"{path} is a device, a pipe or a socket; legal is a regular file: name another one")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # "File exists" would be misread
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename) from None
    name = os.fsdecode(os.fsencode(target.name)[:_LONGEST_NAME])
    partial = target.with_name(f".{name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    with _named(path, partial):
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def write(path: str | Path, content: bytes | str) -> None:
    r"""Write a file by :func:`replacing`.

    Parameters
    ----------
    path : str or Path
    content : bytes or str
        Text is written in UTF-8. Bytes of a file name that are no UTF-8, which Python has in text as lone surrogates,
        are written as escapes (``\udcff``).
    """
    with replacing(path) as file:
        file.write(_encoded(content))


def write_scratch(path: str | Path, content: bytes | str) -> None:
    """Write a file in a temporary folder: as :func:`write`, but in place and not synchronized."""
    with _named(path):
        Path(path).write_bytes(_encoded(content))


def _encoded(content: bytes | str) -> bytes:
    return content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content


@contextmanager
def _named(path: str | Path, partial: Path | None = None) -> Iterator[None]:
    """Name the file that is being written in an OSError that names none, or its temporary file."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(partial)):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
