"""Kernels give the same bits as compiled code and as plain Python."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ptqsim.kernels import machine

SCRIPT = Path(__file__).with_name("small_cases.py")


def run(**settings: str) -> tuple[str, str]:
    environment = os.environ | {"NUMBA_DISABLE_JIT": "0"} | settings
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True, check=False, cwd=Path.cwd()
    )
    assert done.returncode == 0, done.stderr
    state, rest = done.stdout.split(" ", 1)
    return state, rest


def digest(printed: str) -> str:
    return printed.rsplit(" ", 1)[1]


def test_compiled_and_interpreted_kernels_agree() -> None:
    (compiled, fast), (interpreted, slow) = run(), run(NUMBA_DISABLE_JIT="1")
    assert (compiled, interpreted) == ("0", "1")
    assert digest(fast) == digest(slow)
    for kernel in (
        "blas_float32", "integer_int64", "saturate_float32", "saturate_int32", "saturate_float64", "saturate_int64",
        "wrap_int32", "wrap_int64",
    ):  # fmt: skip
        assert kernel in slow
    if machine.DOT:
        for kernel in ("matrix_int8" if machine.MATRIX else "dot_int8", "saturate_dot", "wrap_dot"):
            assert kernel in fast


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of that kind")
@pytest.mark.parametrize(
    ("processor", "features"),
    [
        ("generic", ""),
        ("haswell", "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2"),
        pytest.param(
            "cascadelake",
            "+avx,+avx2,+fma,+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512vnni",
            marks=pytest.mark.skipif(not machine.DOT, reason="needs AVX-512 VNNI"),
        ),
    ],
)
def test_processors_agree(processor: str, features: str) -> None:
    # Vectors of 128 bits and no fused multiply-add; 256 bits and fused multiply-add; 512 bits, and no matrix unit.
    assert digest(run(NUMBA_CPU_NAME=processor, NUMBA_CPU_FEATURES=features)[1]) == digest(run()[1])
