"""pip, run as a program: it knows proxies, mirrors and credentials."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

_ADVANCED: Final = re.compile(r"Progress (\d+) of (\d+)")
_LAST: Final = 50  # lines that are kept for an error
_RAW_SINCE: Final = (24, 1)
"""The release of pip that first told its progress in plain lines."""


def pip_download(
    requirement: str, options: Sequence[str], folder: Path, progress: Callable[[int], None] = lambda done: None
) -> None:
    """Put the wheel of a package into a folder.

    Parameters
    ----------
    requirement : str
        ``name==version``.
    options : sequence of str
        Which wheel of that version.
    folder : Path
    progress : callable
        Called with the bytes that have come.

    Raises
    ------
    ValueError
        Where pip is not installed or fails, with the reason that it gives.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--dest", str(folder), *options]
    if _pip_version() >= _RAW_SINCE:
        command += ["--progress-bar", "raw"]
    lines: list[str] = []
    with subprocess.Popen(
        [*command, requirement],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as pip:
        try:
            assert pip.stdout is not None
            for line in pip.stdout:
                if advanced := _ADVANCED.match(line):
                    progress(int(advanced[1]))
                else:
                    lines = [*lines[-_LAST:], line.strip()]
        except BaseException:
            pip.kill()
            raise
    if pip.returncode:
        raise ValueError(
            f"pip could not get {requirement} ({_reason(lines)}): check the network and pip's index, or get the wheels "
            "elsewhere and name their folder with --wheels"
        )


def _pip_version() -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in re.findall(r"\d+", version("pip"))[:2])
    except PackageNotFoundError:
        raise ValueError(
            "pip is not installed in this environment: run 'python -m ensurepip', or get the wheels elsewhere and name "
            "their folder with --wheels"
        ) from None


def _reason(lines: Sequence[str]) -> str:
    """The reason in a few words; pip says of a network that is down that there is no such version."""
    if any("Retrying" in line for line in lines):
        return "no connection"
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or [line for line in lines if line] or ["no reason given"])[-1]
