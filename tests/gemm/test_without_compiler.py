"""Refusals, and every step of a small register, with the kernels as plain Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "chosen"),
    [("gemm/test_false_preconditions.py", "test"), ("exhaustive/test_steps.py", "kernels and (wrap-5 or saturate-5)")],
)
def test_interpreted_kernels_pass_too(module: str, chosen: str) -> None:
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS / module), "-k", chosen]
    done = subprocess.run(command, env=environment, cwd=TESTS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
