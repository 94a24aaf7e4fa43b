"""Kernels give the same bits as compiled code and as plain Python."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ptqsim.kernels.runtime import machine

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


PAIRS = """
import numpy as np
import ptqsim as pq
rng, kernels = np.random.default_rng(0), set()
for bits, shape in ((8, (9, 1, 5)), (8, (20, 64, 197)), (12, (3, 7, 100)), (16, (2, 2, 2))):
    number_format = pq.Uniform(bits, 1.0)
    a, b = (pq.QuantizedArray(rng.integers(0, 2**bits, two), number_format) for two in (shape[:2], shape[1:]))
    for width in (32, 20):
        result = pq.matmul(a, b, pq.Accumulator(width), statistics=False)
        half = 2 ** (width - 1)
        assert np.array_equal(result.acc, (a.aligned() @ b.aligned() + half) % (2 * half) - half)
        kernels.add(result.kernel)
print(*kernels)
"""


@pytest.mark.skipif(platform.machine() != "x86_64" or not machine.PAIRS, reason="needs AVX2")
def test_pairs_without_vnni() -> None:
    """The instructions for processors without VNNI, which no other test compiles on one that has it."""
    settings = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2"}
    done = subprocess.run(
        [sys.executable, "-c", PAIRS], env=os.environ | settings, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "dot_int16"), done.stderr


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
