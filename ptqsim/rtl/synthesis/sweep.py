"""Cost over widths, shifts and designs: in parallel, each point cached, each call with a time limit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ptqsim.datapath.spec import Accumulator, Alignment, OverflowMode
from ptqsim.errors import unknown_name
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.twin import TwinGELU, TwinSoftmax
from ptqsim.formats.uniform import Uniform
from ptqsim.rtl import tools
from ptqsim.rtl.hardware.element import processing_element
from ptqsim.rtl.hardware.pwlq import PWLQUnit
from ptqsim.rtl.hardware.unit import Multiplier, Unit
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.synthesis.flow import TIMEOUT, Gates, synthesize

DESIGNS: Final = ("uniform", "softmax", "gelu", "gelu_runtime", "gelu_operand", "gelu_deferred", "pwlq")
RESOLUTION: Final = 0.10
"""Relative difference below which two costs are not told apart: versions of the tools differ by as much."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Point:
    """One processing element.

    Parameters
    ----------
    design
        One of `DESIGNS`: the kind of the left operand and where its shift is done.
    bits
        Width k of both operands (PWLQ codes have one more).
    shift
        Alignment exponent m; the greatest one of ``gelu_runtime``; not used by ``uniform`` and ``pwlq``.
    acc_bits
        Width P of the accumulator.
    overflow
        "wrap", "saturate" or "trap".
    multiplier
        A `Multiplier`, or its name.
    """

    design: str
    bits: int = 8
    shift: int = 4
    acc_bits: int = 24
    overflow: str = OverflowMode.WRAP
    multiplier: str = Multiplier.BAUGH_WOOLEY

    def module(self) -> Module:
        """The processing element: one multiply-accumulate per cycle, registers and all.

        Raises
        ------
        ValueError
            If there is no such design, or a parameter is out of its range.
        """
        if self.design not in DESIGNS:
            raise unknown_name("design", self.design, DESIGNS)
        if self.design == "pwlq":
            unit = PWLQUnit(
                self.bits, self.bits, self.acc_bits, overflow=self.overflow, multiplier=self.multiplier, name="pwlq"
            )
            return unit.module()
        kind, _, how = self.design.partition("_")
        left: NumberFormat = {
            "uniform": Uniform(self.bits, 1.0),
            "softmax": TwinSoftmax(self.bits, self.shift),
            "gelu": TwinGELU(self.bits, self.shift, 1.0),
        }[kind]
        alignment = how if how in ("operand", "deferred") else Alignment.PRODUCT
        accumulator = Accumulator(self.acc_bits, self.overflow, alignment=alignment)
        right = Uniform(self.bits, 1.0)
        return processing_element(
            Unit(left, right, accumulator, runtime_shift=how == "runtime", multiplier=self.multiplier, name=self.design)
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """A point and its gates, or the reason why there are none."""

    point: Point
    gates: Gates | None
    failure: str | None = None


def sweep(
    points: Sequence[Point],
    liberty: Path | None = None,
    timeout: float = TIMEOUT,
    jobs: int | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Cost]:
    """The cost of every point, in their order; a call that fails or takes too long is reported, not guessed.

    Raises
    ------
    ptqsim.rtl.MissingToolError
        If there is no Yosys with a working ABC.
    """
    tools.find("abc", "to synthesize")
    modules = [point.module() for point in points]
    found: dict[int, Cost] = {}
    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        running = {pool.submit(synthesize, module, liberty, timeout): i for i, module in enumerate(modules)}
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
    designs: Iterable[str], bits: Iterable[int], shifts: Iterable[int], acc_bits: Iterable[int], **fixed: str
) -> list[Point]:
    """Every combination once; designs without a shift take the first."""
    widths, amounts, registers = list(bits), list(shifts), list(acc_bits)
    found: dict[Point, None] = {}
    for design in designs:
        for k in widths:
            for m in amounts[:1] if design in ("uniform", "pwlq") else amounts:
                for p in registers:
                    found[Point(design, k, m, p, **fixed)] = None
    return list(found)
