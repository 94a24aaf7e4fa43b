"""The process that measures: BLAS and OpenMP read their settings when they are loaded, so it is one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

ONE_THREAD: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""One thread per product in every library, and none that waits by spinning."""

CHOOSE_FOR_BLAS: Final = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that choose for numpy's BLAS what it chooses better for itself: it is measured as good as it can be."""

AVX2: Final = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2",
    "OPENBLAS_CORETYPE": "Haswell",
}
"""Kernels as for an x86-64 processor with vectors of 256 bits and fused multiply-add, and no more: numpy's too."""


MODULE: Final = ("-m", "ptqsim.cli")
"""Command line that starts this Python program again."""


def settings(portable: bool) -> dict[str, str]:
    """The environment that a measurement needs."""
    return ONE_THREAD | (AVX2 if portable else {})


def is_set(wanted: Mapping[str, str]) -> bool:
    """True if this process was started with these settings, and with no others for NumPy's BLAS."""
    chosen = any(name in os.environ for name in CHOOSE_FOR_BLAS if name not in wanted)
    return not chosen and all(os.environ.get(name) == value for name, value in wanted.items())


def rerun(arguments: Sequence[str], wanted: Mapping[str, str]) -> int:
    """Run the command line with these settings in a process that inherits the terminal; its exit status."""
    command = [sys.executable, *MODULE, *arguments]
    kept = {name: value for name, value in os.environ.items() if name not in CHOOSE_FOR_BLAS}
    return subprocess.run(command, env=kept | dict(wanted), check=False).returncode
