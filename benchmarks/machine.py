"""The machine and the library versions of a measurement."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from ptqsim.common import installed
from ptqsim.kernels.runtime import machine

_MEASURED: Final = ("python", "ptqsim", "numpy", "numba", "llvmlite", "torch", "apytypes", "fxpmath")


def versions() -> dict[str, str]:
    """Versions of Python and of what is measured."""
    return installed.versions(_MEASURED)


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    if "model name" not in found:
        return platform.machine()
    # On some machines the name contains the manufacturer only.
    numbers = [f"{name.split()[-1]} {found[name]}" for name in ("cpu family", "model") if name in found]
    return f"{found['model name']} ({', '.join(numbers)})" if numbers else found["model name"]


def blas() -> str:
    """NumPy's BLAS library and the processor it is tuned for, on which the speed of the baseline depends."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "an unknown BLAS (pip install threadpoolctl names it)"
    beside = Path(np.__file__).parent.parent
    found = [
        f"{library['internal_api']} {library['version']} for {library.get('architecture', 'any processor')}"
        for library in threadpool_info()
        if library["user_api"] == "blas" and Path(library["filepath"]).is_relative_to(beside / "numpy.libs")
    ]
    return found[0] if found else "an unknown BLAS"


def described() -> dict[str, Any]:
    """The machine, and what the kernels use of it."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return {
        "processor": processor(),
        "blas": blas(),
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
