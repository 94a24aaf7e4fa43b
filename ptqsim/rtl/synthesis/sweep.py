"""Cost over widths, shifts and designs: in parallel, each point cached, each call with a time limit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final, Generic, TypeVar

from ptqsim.common.progress import Progress, silent
from ptqsim.datapath.order import Sequential
from ptqsim.datapath.spec import OverflowMode
from ptqsim.rtl import tools
from ptqsim.rtl.hardware.unit import Multiplier
from ptqsim.rtl.synthesis.designs import COMBINATIONAL, PLAIN, DesignPoint
from ptqsim.rtl.synthesis.flow import TIMEOUT, synthesize
from ptqsim.rtl.synthesis.gates import Gates
from ptqsim.rtl.synthesis.integer_units import UnitPoint

RESOLUTION: Final = 0.10
"""Relative difference below which two costs are not told apart: versions of the tools differ by as much."""


Point = TypeVar("Point", DesignPoint, UnitPoint)


@dataclass(frozen=True, slots=True)
class Cost(Generic[Point]):
    """A point and its gates, or the reason why there are none."""

    point: Point
    gates: Gates | None
    failure: str | None = None

    @property
    def per_mac(self) -> float | None:
        """Transistors, or area with a liberty file, of one multiply-accumulate per cycle; None without a result."""
        if self.gates is None:
            return None
        size = self.gates.transistors if self.gates.transistors is not None else self.gates.area
        return None if size is None else size / self.point.lanes


def sweep(
    points: Sequence[Point],
    liberty: Path | None = None,
    timeout: float = TIMEOUT,
    jobs: int | None = None,
    progress: Progress = silent,
    anew: bool = False,
) -> list[Cost[Point]]:
    """The cost of every point, in their order; a call that fails or takes too long is reported, not guessed.

    Raises
    ------
    ptqsim.rtl.MissingToolError
        If there is no Yosys with a working ABC, and not all the counts came with the package.
    """
    modules = [point.module() for point in points]
    found: dict[int, Cost[Point]] = {}
    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        running = {pool.submit(synthesize, module, liberty, timeout, anew): i for i, module in enumerate(modules)}
        for done, future in enumerate(as_completed(running), 1):
            number = running[future]
            try:
                found[number] = Cost(points[number], future.result())
            except (tools.ToolError, tools.ToolTimeoutError) as error:
                found[number] = Cost(points[number], None, str(error))
            progress(done, len(points))
    return [found[number] for number in range(len(points))]


def relation(cost: float, base: float) -> str:
    """One cost beside another, in words; "not resolved" where tools of different versions differ by as much."""
    change = cost / base - 1
    if abs(change) < RESOLUTION:
        return f"not resolved ({change:+.1%})"
    return f"{change:+.1%}"


def grid(
    designs: Iterable[str],
    bits: Iterable[int],
    shifts: Iterable[int],
    acc_bits: Iterable[int],
    overflows: Iterable[str] = (OverflowMode.WRAP,),
    orders: Iterable[str] = (Sequential.kind,),
    multiplier: Multiplier | str = Multiplier.BAUGH_WOOLEY,
) -> list[DesignPoint]:
    """Every combination once; designs without a shift, a mode or an order take the first of them only.

    PWLQ neither traps nor has another order than ``sequential``, and requantizers have no register.
    """
    amounts = list(shifts)
    found: dict[DesignPoint, None] = {}
    for design, overflow, order, k, m, p in product(designs, overflows, orders, bits, amounts, acc_bits):
        legal = design != "pwlq" or (overflow != OverflowMode.TRAP and order == Sequential.kind)
        if design in COMBINATIONAL:
            legal, overflow, order = True, OverflowMode.WRAP, Sequential.kind
        if legal and (m == amounts[0] or design not in PLAIN):
            found[DesignPoint(design, k, m, p, str(overflow), str(multiplier), order)] = None
    return list(found)
