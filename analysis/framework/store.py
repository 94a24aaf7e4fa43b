"""A content-keyed cache of finished results, so that interrupted work goes on where it stopped.

What is kept is JSON: frames with the types of their cells.  A key is everything that decides a result (options, seed,
weights, data, code); two runs that agree in all of it share the result, and nothing else does.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from ptqsim.common import files, fingerprint

from .. import ROOT
from .frame import Data, Frame

# What draws and prints the numbers can't change them.
_PRESENTATION: Final = (
    "__main__.py",
    "commands",
    "framework/options.py",
    "framework/provenance.py",
    "framework/registry.py",
    "framework/style.py",
    "framework/text_table.py",
)


@dataclass(frozen=True)
class ArtifactStore:
    """Results in one directory.

    Attributes
    ----------
    directory : Path
        Made when the first result is kept.
    """

    directory: Path

    def path(self, name: str, key: Mapping[str, Any], suffix: str = ".json") -> Path:
        """Path of the file for ``key`` that the library writes itself, whether it exists or not."""
        return self.directory / f"{name}-{fingerprint.value({**key, 'code': fingerprint.arithmetic()})[:16]}{suffix}"

    @contextmanager
    def locked(self, path: Path) -> Iterator[None]:
        """Lock ``path`` against other processes: a second one waits, and then finds what the first one has made."""
        file = self.directory / "locks" / path.name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, also at the end of the process
            yield

    def data(self, name: str, key: Mapping[str, Any], compute: Callable[[], Data]) -> Data:
        """The kept frames of ``name`` and ``key``; computed and kept if there are none.

        Parameters
        ----------
        name : str
            What it is, for the file name.
        key : mapping
            Everything that decides the result, as JSON values.
        compute : callable
            Makes the frames.
        """
        path = self.path(name, {**key, "analysis": analysis_fingerprint()})
        kept = _read(path)
        if kept is not None:
            return kept
        data = compute()
        files.write(path, json.dumps(_document(data, key), indent=1))
        return data


@cache
def analysis_fingerprint() -> str:
    """SHA-256 of what computes the data of figures and tables, beside the library's arithmetic."""
    names = (path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))
    return fingerprint.sources(ROOT, [name for name in names if not name.startswith(_PRESENTATION)])


def _document(data: Data, key: Mapping[str, Any]) -> dict[str, Any]:
    frames = {name: {"columns": frame.names, "rows": frame.rows} for name, frame in data.items()}
    return {"key": dict(key), "frames": frames}


def _read(path: Path) -> Data | None:
    """The frames of a file; None where there is no file, or one that was damaged from outside."""
    try:
        frames = json.loads(path.read_bytes())["frames"]
        return {name: Frame(tuple(f["columns"]), tuple(tuple(row) for row in f["rows"])) for name, f in frames.items()}
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        return None
