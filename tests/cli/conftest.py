"""Commands made up for a test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ptqsim.cli.framework import commands


@pytest.fixture
def add_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Register the built-in command ``trial`` from source text that defines a function ``trial``."""

    def add(source: str) -> None:
        (tmp_path / "trial_module.py").write_text(f'"""A trial."""\n{source}', encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "trial_module", raising=False)
        monkeypatch.setitem(commands.BUILT_IN, "trial", "trial_module:trial")

    return add
