"""Block formats that a command does not take are refused with those that it takes."""

from __future__ import annotations

import pytest

from ptqsim.cli.framework import app


@pytest.mark.parametrize("option", ["--a-format", "--b-format"])
def test_vectors_of_blocks(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["vectors", "--depth", "8", option, "mxfp8", "-o", "never"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert f"{option} mxfp8 is a block format, which ptqsim bounds takes and this command does not" in error
    assert "e4m3" in error


def test_rtl_of_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["rtl", "generate", "--a-format", "mxfp4", "--depth", "8", "-o", "never"]) == 2
    assert "mxfp4 is a block format" in " ".join(capsys.readouterr().err.split())
