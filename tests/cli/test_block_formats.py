"""Block formats: what a command takes, and the refusals that say what is legal."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptqsim.cli.framework import app


@pytest.mark.parametrize("option", ["--a-format", "--b-format"])
@pytest.mark.parametrize("command", ["simulate", "prove"])
def test_other_units_have_none(command: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["rtl", command, option, "mxfp8"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert f"{option} mxfp8 is a block format, which ptqsim bounds, vectors and rtl generate take" in error
    assert "e4m3" in error


def test_blocks_are_multiplied_by_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["vectors", "--depth", "8", "--b-format", "mxfp8", "-o", str(tmp_path / "never")]) == 2
    assert "give --a-format too" in " ".join(capsys.readouterr().err.split())


def test_a_unit_of_blocks_has_a_register(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["rtl", "generate", "--a-format", "mxfp4", "-o", str(tmp_path / "never")]) == 2
    assert "give --register" in " ".join(capsys.readouterr().err.split())
