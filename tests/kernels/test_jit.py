"""Kernels give the same bits as compiled code and as plain Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("small_cases.py")


def run(disabled: bool) -> tuple[str, str]:
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1" if disabled else "0"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True, check=False, cwd=Path.cwd()
    )
    assert done.returncode == 0, done.stderr
    state, rest = done.stdout.split(" ", 1)
    return state, rest


def test_compiled_and_interpreted_kernels_agree() -> None:
    (compiled, fast), (interpreted, slow) = run(disabled=False), run(disabled=True)
    assert (compiled, interpreted) == ("0", "1")
    assert fast == slow
    for kernel in (
        "blas_float32", "integer_int64", "saturate_float32", "saturate_int32", "saturate_float64", "saturate_int64",
        "wrap_int32", "wrap_int64",
    ):  # fmt: skip
        assert kernel in fast
