"""Cost over widths, shifts and designs: in parallel, each point cached, each call with a time limit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

from ptqsim.common.progress import Progress, silent
from ptqsim.datapath.order import Sequential, Tree, parse_order
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
from ptqsim.rtl.synthesis.flow import TIMEOUT, synthesize
from ptqsim.rtl.synthesis.gates import Gates

DESIGNS: Final = ("uniform", "softmax", "gelu", "gelu_runtime", "gelu_operand", "gelu_deferred", "pwlq")
"""Default of the comparison."""
_SHIFTED_IN: Final = ("", "_runtime", "_operand", "_deferred")
ALL_DESIGNS: Final = ("uniform", "pwlq", *(kind + how for kind in ("softmax", "gelu") for how in _SHIFTED_IN))
"""Legal values: the kind of the left operand, and where its shift is done."""
PLAIN: Final = ("uniform", "pwlq")
"""Designs without a shift."""
RESOLUTION: Final = 0.10
"""Relative difference below which two costs are not told apart: versions of the tools differ by as much."""


@dataclass(frozen=True, slots=True)
class DesignPoint:
    """One processing element.

    Parameters
    ----------
    design : str
        One of `ALL_DESIGNS`: the kind of the left operand and where its shift is done, by default in wires behind the
        multiplier.
    bits : int, optional
        Width k of both operands (PWLQ codes have one more).
    shift : int, optional
        Alignment exponent m; the greatest one if it is an input; not used by ``uniform`` and ``pwlq``.
    acc_bits : int, optional
        Width P of the accumulator.
    overflow : OverflowMode or str, optional
        "wrap", "saturate" or "trap".
    multiplier : Multiplier or str, optional
        A `Multiplier`, or its name.
    order : str, optional
        Order of the additions, in the text form of `ptqsim.datapath.order`; PWLQ has ``sequential`` only.
    """

    design: str
    bits: int = 8
    shift: int = 4
    acc_bits: int = 24
    overflow: OverflowMode | str = OverflowMode.WRAP
    multiplier: Multiplier | str = Multiplier.BAUGH_WOOLEY
    order: str = Sequential.kind

    @property
    def lanes(self) -> int:
        """Multiply-accumulates per cycle."""
        order = parse_order(self.order)
        return order.lanes if isinstance(order, Tree) else 1

    def module(self) -> Module:
        """The processing element: one group of multiply-accumulates per cycle, registers and all.

        Raises
        ------
        ValueError
            If there is no such design, or a parameter is out of its range.
        """
        if self.design not in ALL_DESIGNS:
            raise unknown_name("design", self.design, ALL_DESIGNS)
        order = parse_order(self.order)
        if self.design == "pwlq":
            if order != Sequential():
                raise ValueError(f"the unit of PWLQ adds in sequence, got order {self.order!r}: try sequential")
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
        accumulator = Accumulator(self.acc_bits, self.overflow, order, alignment)
        right = Uniform(self.bits, 1.0)
        return processing_element(
            Unit(left, right, accumulator, runtime_shift=how == "runtime", multiplier=self.multiplier, name=self.design)
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """A point and its gates, or the reason why there are none."""

    point: DesignPoint
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
    points: Sequence[DesignPoint],
    liberty: Path | None = None,
    timeout: float = TIMEOUT,
    jobs: int | None = None,
    progress: Progress = silent,
    anew: bool = False,
) -> list[Cost]:
    """The cost of every point, in their order; a call that fails or takes too long is reported, not guessed.

    Raises
    ------
    ptqsim.rtl.MissingToolError
        If there is no Yosys with a working ABC, and not all the counts came with the package.
    """
    modules = [point.module() for point in points]
    found: dict[int, Cost] = {}
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
    """Every combination once; designs without a shift take the first, and PWLQ neither traps nor has another order."""
    amounts = list(shifts)
    found: dict[DesignPoint, None] = {}
    for design, overflow, order, k, m, p in product(designs, overflows, orders, bits, amounts, acc_bits):
        legal = design != "pwlq" or (overflow != OverflowMode.TRAP and order == Sequential.kind)
        if legal and (m == amounts[0] or design not in PLAIN):
            found[DesignPoint(design, k, m, p, str(overflow), str(multiplier), order)] = None
    return list(found)
