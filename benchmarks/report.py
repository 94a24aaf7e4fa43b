"""The rows as tables for a terminal of 100 columns, and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any, Final

from benchmarks.measure import Row
from benchmarks.timing import Timing
from ptqsim.cli.output import Cell, Output

COLUMNS: Final = ("Datapath", "ready", "fresh", "ms", "GMAC/s", "+-%", "over%", "sure%", "goal", "met")

EXPLANATION: Final = """\
ready, fresh: times numpy's float32 product, larger is faster; ready: both operands were multiplied before, fresh: the \
left one (in attention both) is new in each call. ms, GMAC/s and +-% (half the interquartile range): of ready, or of \
fresh where there is no other. over%: outputs that overflow; sure%: outputs proven unable to. met: yes, in both; part, \
when ready only."""


def main_timing(row: Row) -> Timing:
    """The timing that a row is judged by first."""
    return row.timings.get("prepared") or row.timings["fresh"]


def met(row: Row) -> str | None:
    """Whether the target is met: "yes", "part" (prepared only) or "no"; None without one."""
    if row.target is None:
        return None
    reached = [timing.ratio >= row.target for timing in row.timings.values()]
    if all(reached):
        return "yes"
    return "part" if main_timing(row).ratio >= row.target else "no"


def relative(row: Row, rows: Sequence[Row]) -> float | None:
    """Speed as a share of that of the case that the row is compared with, each beside its own baseline."""
    for other in rows:
        if row.of and (other.shape, other.operands, other.case) == (row.shape, row.operands, row.of):
            return main_timing(row).ratio / main_timing(other).ratio
    return None


def show(rows: Sequence[Row], output: Output) -> None:
    """A table per shape, and one of the comparisons between datapaths."""
    for shape, of_shape in groupby(rows, key=lambda row: row.shape):
        found = list(of_shape)
        base = sorted(second for row in found for second in main_timing(row).base)
        title = f"{shape.title}: numpy float32 {base[len(base) // 2] * 1e3:.2f} ms"
        lines: list[Sequence[Cell]] = []
        for operands, of_operands in groupby(found, key=lambda row: row.operands):
            lines.append((f"{operands}:", *[None] * (len(COLUMNS) - 1)))
            lines += [_line(row) for row in of_operands]
        output.table(COLUMNS, lines, title)
    compared = [(row, relative(row, rows)) for row in rows]
    lines = [
        (f"{row.case} of {row.of}", row.shape.name, row.operands, f"{share:.2f}", f"{row.of_target:.2f}",
         "yes" if share >= (row.of_target or 0) else "no")
        for row, share in compared if share is not None
    ]  # fmt: skip
    if lines:
        output.table(("Datapath", "shape", "operands", "share", "goal", "met"), lines, "Beside other datapaths")
    output.note(EXPLANATION)


def _line(row: Row) -> tuple[Cell, ...]:
    timing = main_timing(row)
    ratios = [f"{row.timings[how].ratio:.2f}" if how in row.timings else None for how in ("prepared", "fresh")]
    mark = f"WRONG {row.wrong}" if row.wrong else met(row)
    return (
        f"  {row.case}", *ratios, f"{timing.seconds * 1e3:.2f}", f"{row.shape.macs / timing.seconds / 1e9:.2f}",
        f"{timing.spread * 100:.0f}", _percent(row.clamped), _percent(row.certified),
        None if row.target is None else f"{row.target:.2f}", mark,
    )  # fmt: skip


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share * 100:.1f}"


def record(row: Row, rows: Sequence[Row]) -> dict[str, Any]:
    """A row as JSON values."""
    timings = {
        how: {
            "ratio": timing.ratio,
            "milliseconds": timing.seconds * 1e3,
            "gmac_per_s": row.shape.macs / timing.seconds / 1e9,
            "spread": timing.spread,
            "met": None if row.target is None else timing.ratio >= row.target,
            "seconds": list(timing.own),
            "baseline_seconds": list(timing.base),
        }
        for how, timing in row.timings.items()
    }
    of = None if row.of is None else {"case": row.of, "share": relative(row, rows), "target": row.of_target}
    plain = {name: value for name, value in asdict(row).items() if name not in ("timings", "of", "of_target")}
    return plain | {"met": met(row), "of": of, "timings": timings}
