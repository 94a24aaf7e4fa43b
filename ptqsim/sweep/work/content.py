"""Files kept under names that say what they hold."""

from __future__ import annotations

import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ptqsim.common import files

_TOKEN: Final = ".token"


@dataclass(frozen=True)
class ContentCache:
    """Files under names that say what they hold; a file is there whole, or not at all.

    Attributes
    ----------
    folder : Path
        Made when the first file is kept.
    """

    folder: Path

    def path(self, name: str) -> Path:
        """Path of a file, whether it exists or not."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """True if it exists."""
        return self.path(name).is_file()

    def put(self, name: str, content: bytes) -> None:
        """Keep a file."""
        files.write(self.path(name), content)

    def token(self) -> str:
        """A word written to this folder only: a worker that can read it there shares the folder."""
        if not self.has(_TOKEN):
            self.put(_TOKEN, secrets.token_hex(16).encode())
        return self.path(_TOKEN).read_text(encoding="utf-8")


@dataclass(frozen=True)
class CachePlace:
    """The client's cache as a worker is told of it.

    Attributes
    ----------
    folder : str
        Where the client has it.
    token : str
        What the client has written there.
    """

    folder: str
    token: str

    @property
    def is_shared(self) -> bool:
        """True if this machine sees the client's folder."""
        try:
            return (Path(self.folder) / _TOKEN).read_text(encoding="utf-8") == self.token
        except OSError:
            return False

    def open(self) -> ContentCache:
        """The client's cache, or one of this machine's own that all its workers use."""
        if self.is_shared:
            return ContentCache(Path(self.folder))
        own = Path(tempfile.gettempdir()) / f"ptqsim-{os.getuid()}-{self.token[:16]}"
        own.mkdir(mode=0o700, exist_ok=True)
        if own.stat().st_uid != os.getuid():
            raise PermissionError(f"{own} belongs to someone else: set TMPDIR to a folder of your own")
        return ContentCache(own)


class MissingContent(Exception):  # noqa: N818 - a request, not an error
    """A worker needs files that its machine has not; the client sends them and submits the work again."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(names)
        self.names = names
