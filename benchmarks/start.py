"""Time to the first result: with kernels compiled from nothing, and with kernels loaded from the cache."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks import process

FIRST_RESULT: Final = """\
import numpy as np, ptqsim as pq
codes = np.arange(64, dtype=np.uint8).reshape(8, 8)
a = pq.QuantizedArray(codes, pq.Uniform(8, 0.1))
assert pq.matmul(a, a, pq.Accumulator(12, "saturate")).acc.shape == (8, 8)
"""

EVERY_KERNEL: Final = ("-m", "benchmarks.products.every_kernel")


@dataclass(frozen=True, slots=True)
class Started:
    """Seconds that a process took, of CPU (all threads) and of wall time, and what it printed."""

    cpu: float
    wall: float
    printed: str


@dataclass(frozen=True, slots=True)
class Start:
    """Measured times.

    Parameters
    ----------
    cold : Started
        Import, and every kernel compiled and run, with an empty cache.
    cached : Started
        The same with the cache that this left.
    first : tuple of Started
        Import and one saturating product with that cache, several times.
    kernels : tuple of str
        Names of the kernels that ran.
    """

    cold: Started
    cached: Started
    first: tuple[Started, ...]
    kernels: tuple[str, ...]

    @property
    def first_cpu(self) -> float:
        """Median of the CPU seconds until a first result."""
        return median(one.cpu for one in self.first)

    @property
    def first_wall(self) -> float:
        """Median of the wall seconds until a first result."""
        return median(one.wall for one in self.first)


def started(arguments: Sequence[str], cache: str, portable: bool) -> Started:
    """Run Python on something, with its compiled kernels in a folder of their own.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    environment = os.environ | process.settings(portable) | {"NUMBA_CACHE_DIR": cache}
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed with status {done.returncode}: {done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Started(cpu, wall, done.stdout)


def measure(times: int, portable: bool, told: Callable[[int, int, str], None]) -> Start:
    """Start Python with an empty cache, and again with what it holds then."""
    with tempfile.TemporaryDirectory(prefix="ptqsim-bench-") as cache:
        total = times + 2
        told(0, total, "compiling every kernel")
        cold = started(EVERY_KERNEL, cache, portable)
        told(1, total, "every kernel from the cache")
        cached = started(EVERY_KERNEL, cache, portable)
        started(("-c", FIRST_RESULT), cache, portable)  # a combination of types that the others may not have met
        first = []
        for number in range(times):
            told(2 + number, total, "first result")
            first.append(started(("-c", FIRST_RESULT), cache, portable))
    return Start(cold, cached, tuple(first), tuple(json.loads(cold.printed)))
