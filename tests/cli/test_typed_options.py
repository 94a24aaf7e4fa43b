"""Options that were typed where another argument decides them are refused, even with the value of their default."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptqsim.cli.framework import app


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["rtl", "generate", "layernorm", "--a-format", "mxfp4", "--register", "aligned:14"], ["--register"]),
        (["rtl", "generate", "softmax", "--bits", "24"], ["--bits"]),
        (["rtl", "simulate", "softmax", "--depth", "8"], ["--depth"]),
        (["rtl", "prove", "gelu", "--overflow", "wrap"], ["--overflow"]),
        (["calibrate", "--preset", "repq_vit", "--method", "ptq4vit", "--a-bits", "4"], ["--method", "-O"]),
        (["calibrate", "--preset", "repq_vit", "--w-granularity", "tensor", "--a-bits", "4"], ["--w-granularity"]),
        (["calibrate", "--preset", "repq_vit"], ["log_sqrt2", "--a-bits 6"]),
        (["rtl", "generate", "gelu", "--setting", "length=7"], ["length", "acc_bits"]),
        (["rtl", "generate", "softmax", "--setting", "features=9,precision=3"], ["features, precision", "length"]),
        (["vectors", "--unit", "softmax", "--group", "99"], ["--group"]),
        (["rtl", "simulate", "softmx"], ["Did you mean 'softmax'"]),
        (["rtl", "generate", "m.safetensors"], ["rtl simulate", "layernorm"]),
    ],
)  # fmt: skip
def test_refused(arguments: list[str], named: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = [] if arguments[1] == "prove" else ["-o", str(tmp_path / "out")]
    assert app.main([*arguments, *output]) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in named)
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
