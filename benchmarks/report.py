"""The results as tables for a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import median
from typing import Final

from benchmarks import machine
from benchmarks.products import targets
from benchmarks.products.measure import Row
from benchmarks.products.overflow_peers import Verdict
from benchmarks.products.threads import Threaded
from benchmarks.run import Results
from benchmarks.start import Start
from ptqsim.cli.framework.output import Cell, Output

COLUMNS: Final = ("Datapath", "ready", "fresh", "ms", "GMAC/s", "+-%", "over%", "sure%", "goal", "met")

EXPLANATION: Final = (
    "ready, fresh   times as fast as numpy's float32 product, larger is better; ready: both operands were",
    "               multiplied before; fresh: the left one, in attention both, is new in each call",
    "ms, GMAC/s     of ready, or of fresh where there is no other; +-% is half their interquartile range",
    "over%, sure%   outputs that overflow at some step; outputs that are proven unable to",
    "met            yes: in both; part: when ready",
)


def show(results: Results, judged: bool, output: Output) -> None:
    """A table per shape, and one each of the comparisons with other datapaths, of threads and of other libraries.

    Unless `judged`, no target is shown for what was measured, as with shapes that say nothing about speed.
    """
    for shape, of_shape in groupby(results.rows, key=lambda row: row.shape):
        found = list(of_shape)
        base = median(second for row in found for second in row.main.base)
        lines: list[Sequence[Cell]] = []
        for operands, of_operands in groupby(found, key=lambda row: row.operands):
            lines.append((f"{operands}:", *[None] * (len(COLUMNS) - 1)))
            lines += [_line(row) for row in of_operands]
        output.table(COLUMNS, lines, f"{shape.title}: numpy float32 {base * 1e3:.2f} ms")
    _show_compared(results.rows, output)
    _show_threads(results.threaded, targets.TWO_THREADS_OF_ONE if judged else None, output)
    _show_verdicts(results.verdicts, targets.OF_APYTYPES if judged else None, output)
    for line in EXPLANATION if results.rows else ():
        output.note(line)
    output.note(f"{machine.processor()}; numpy's products by {machine.blas()}")


def verdict_of(value: float, wanted: float | None) -> str | None:
    """Mark for a target: met or missed."""
    return None if wanted is None else "yes" if value >= wanted else "no"


def show_start(start: Start, output: Output) -> None:
    """Compiling, loading, first result."""
    lines = [
        ("every kernel compiled", start.cold.cpu, start.cold.wall, targets.COMPILE_SECONDS),
        ("every kernel from the cache", start.cached.cpu, start.cached.wall, None),
        ("import and first result, cached", start.first_cpu, start.first_wall, targets.START_SECONDS),
    ]
    output.table(
        ("From the start of Python", "CPU s", "wall s", "goal", "met"),
        [
            (name, f"{cpu:.2f}", f"{wall:.2f}", _number(goal), None if goal is None else "yes" if cpu <= goal else "no")
            for name, cpu, wall, goal in lines
        ],
        f"{len(start.kernels)} kernels; CPU time is what counts",
    )


def _line(row: Row) -> tuple[Cell, ...]:
    ratios = [f"{row.timings[how].ratio:.2f}" if how in row.timings else None for how in ("prepared", "fresh")]
    seconds = row.main.seconds
    return (
        f"  {row.case}", *ratios, f"{seconds * 1e3:.2f}", f"{row.shape.macs / seconds / 1e9:.2f}",
        f"{row.main.spread * 100:.0f}", _percent(row.clamped), _percent(row.certified), _number(row.target),
        f"WRONG: {row.wrong}" if row.wrong else row.met,
    )  # fmt: skip


def _show_compared(rows: Sequence[Row], output: Output) -> None:
    lines = [
        (f"{row.case} of {row.of}", row.shape.name, row.operands, f"{row.share:.2f}", _number(row.of_target),
         verdict_of(row.share, row.of_target))
        for row in rows
        if row.share is not None
    ]  # fmt: skip
    if lines:
        output.table(("Datapath", "shape", "operands", "share", "goal", "met"), lines, "Speed beside other datapaths")


def _show_threads(threaded: Sequence[Threaded], goal: float | None, output: Output) -> None:
    lines = [
        (one.case, one.shape.name, one.operands, f"{one.timing.seconds * 1e3:.2f}", f"{one.timing.ratio:.2f}",
         f"{one.timing.spread * 100:.0f}", _number(goal), verdict_of(one.timing.ratio, goal))
        for one in threaded
    ]  # fmt: skip
    if lines:
        columns = ("Datapath", "shape", "operands", "ms", "times", "+-%", "goal", "met")
        output.table(columns, lines, "Two threads beside one, wall time; right on a quiet machine only")


def _show_verdicts(verdicts: Sequence[Verdict], goal: float | None, output: Output) -> None:
    lines = [
        (one.peer, one.overflow, f"{one.gmac_per_s:.4f}", f"{one.simulator_gmac_per_s:.1f}", f"{one.times:.0f}",
         _number(goal) if one.peer == "apytypes" else None, f"{one.wrong} of {one.outputs}",
         f"{one.example} ({one.example_right})", "WRONG" if one.is_wrong else "right")
        for one in verdicts
    ]  # fmt: skip
    if lines:
        columns = ("Library", "mode", "GMAC/s", "ptqsim", "times", "goal", "wrong", "3x127x127 (right)", "verdict")
        output.table(columns, lines, f"A register of {verdicts[0].bits} bits that overflows at every step")
    for one in verdicts:
        if one.wrong and not one.wrong_low_bits:
            output.note(f"{one.peer}, {one.overflow}: values are out of range; their low {one.bits} bits are right")


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share * 100:.1f}"
