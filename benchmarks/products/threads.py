"""Two threads beside one, in wall time."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import ptqsim as pq
from benchmarks.products.cases import Case
from benchmarks.products.draws import Operands
from benchmarks.products.shapes import Shape
from benchmarks.timing import Timing, interleaved


@dataclass(frozen=True, slots=True)
class Threaded:
    """A case with two threads; the baseline is the same call with one."""

    shape: Shape
    operands: str
    case: str
    timing: Timing


def cores() -> int:
    """Number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure(shape: Shape, operands: Operands, case: Case, rounds: int, least: float, seed: int) -> Threaded:
    """Time a case with one and with two threads in turns."""
    a, b = operands.draw(shape, seed)

    def call(threads: int) -> None:
        pq.set_num_threads(threads)
        pq.matmul(a, b, case.accumulator, case.statistics)

    try:
        timed = interleaved(lambda: call(1), {"two": lambda: call(2)}, rounds, least, time.perf_counter)
    finally:
        pq.set_num_threads(1)
    return Threaded(shape, str(operands), case.name, timed["two"])
