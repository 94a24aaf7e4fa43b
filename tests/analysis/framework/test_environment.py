"""Figures are drawn alike whatever the environment says of matplotlib."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def drawn(folder: Path, **environment: str) -> bytes:
    """The SVG of a figure that needs no model."""
    done = subprocess.run(
        [sys.executable, "-m", "ptqsim", "figures", "docs.steps", "-o", str(folder)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return (folder / "docs.steps.svg").read_bytes()


def test_backend_and_settings_of_other_programs_are_ignored(tmp_path: Path) -> None:
    settings = tmp_path / "matplotlibrc"
    settings.write_bytes(b"lines.linewidth: \xff\nno such key: 1\nbackend: nowhere\n")
    (tmp_path / "file").write_bytes(b"")
    plain = drawn(tmp_path / "plain")
    other = drawn(
        tmp_path / "other",
        MPLBACKEND="module://no_such_package.backend_inline",
        MATPLOTLIBRC=str(settings),
        MPLCONFIGDIR=str(tmp_path / "file"),
    )
    assert other == plain
