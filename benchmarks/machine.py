"""What a measurement was made on and with."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from ptqsim.kernels import machine

_PACKAGES: Final = ("ptqsim", "numpy", "numba", "llvmlite", "torch", "apytypes", "fxpmath")


def versions() -> dict[str, str]:
    """Versions of Python and of what is measured."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def described() -> dict[str, Any]:
    """The machine, and what the kernels use of it."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return {
        "processor": processor(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": len(cores),
        "compiled_for": os.environ.get("NUMBA_CPU_NAME", "this processor"),
        "features": os.environ.get("NUMBA_CPU_FEATURES", "all it has"),
        "dot_products_of_bytes": machine.DOT,
        "matrix_unit": machine.MATRIX,
        "vector_bits": machine.VECTOR_BITS,
    }


def command() -> str:
    """The command line."""
    return " ".join(["ptqsim", *sys.argv[1:]])
