"""Costs of a point: bits of storage, bits of accumulators, and gates where there is a table of them.

Costs follow from a point, its calibration and the table; so they are computed when results are read, and a new table
changes no result.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ptqsim.datapath.order import Sequential, Tree, parse_order
from ptqsim.datapath.spec import Alignment, OverflowMode
from ptqsim.rtl.hardware.unit import Multiplier
from ptqsim.rtl.synthesis import kept
from ptqsim.rtl.synthesis.designs import PLAIN

Row = Mapping[str, Any]
COLUMNS: Final = ("storage_bits", "accumulator_bits", "mean_accumulator_bits", "processing_element")


Design = tuple[str, int, str, str]  # name, code bits, overflow, order


@dataclass(frozen=True)
class GateTable:
    """Sizes of processing elements.

    Attributes
    ----------
    unit : str
        ``transistors``, or ``area`` in the units of a cell library; of one multiply-accumulate per cycle.
    sizes : mapping
        From designs to shifts to pairs of accumulator width and size, all in ascending order.
    """

    unit: str
    sizes: Mapping[Design, Mapping[int, Sequence[tuple[int, float]]]]

    def size(self, design: Design, shift: int, acc_bits: int) -> float | None:
        """Of one processing element; None where the table doesn't reach.

        Between two widths of the table it is on the line through them, as an adder and a register grow by the bit.  A
        shift that is not in the table costs what the next larger one does.
        """
        known = next((found for m, found in self.sizes.get(design, {}).items() if m >= shift), None)
        if known is None:
            return None
        widths = [width for width, _ in known]
        at = bisect_left(widths, acc_bits)
        if at == len(widths) or acc_bits < widths[0]:
            return None
        if widths[at] == acc_bits:
            return known[at][1]
        (low, below), (high, above) = known[at - 1], known[at]
        return below + (above - below) * (acc_bits - low) / (high - low)


def kept_gates() -> GateTable:
    """The counts that come with the package."""
    return _table(kept.rows().values(), "transistors")


def read_gates(path: Path) -> GateTable:
    """The counts of a file.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is no result of ``ptqsim rtl synthesize --json``.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there are no gate counts at {path}: make them with ptqsim rtl synthesize --json")
    try:
        listed = [entry for entry in json.loads(path.read_text(encoding="utf-8"))["points"] if entry["gates"]]
        unit = "area" if any(entry["gates"]["area"] is not None for entry in listed) else "transistors"
        return _table([entry["point"] | entry["gates"] for entry in listed], unit)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} holds no gate counts ({error!r}): make them with ptqsim rtl synthesize --json"
        ) from None


def _table(rows: Iterable[Row], unit: str) -> GateTable:
    sizes: dict[Design, dict[int, list[tuple[int, float]]]] = {}
    for row in rows:
        if row["multiplier"] != Multiplier.BAUGH_WOOLEY:
            continue
        plain = row["design"] in PLAIN
        design = (row["design"], int(row["bits"]), row["overflow"], row["order"])
        found = sizes.setdefault(design, {}).setdefault(0 if plain else int(row["shift"]), [])
        order = parse_order(row["order"])
        lanes = order.lanes if isinstance(order, Tree) else 1
        if plain and any(width == int(row["acc_bits"]) for width, _ in found):
            continue  # listed once per shift, although it has none
        found.append((int(row["acc_bits"]), float(row[unit]) / lanes))
    ordered = {design: {m: sorted(found) for m, found in sorted(shifts.items())} for design, shifts in sizes.items()}
    return GateTable(unit, ordered)


def costs(point: Row, calibration: Row | None, gates: GateTable | None) -> dict[str, Any]:
    """The cost columns of a point.

    ``accumulator_bits`` is the width of the widest accumulator that a layer needs, and ``mean_accumulator_bits`` the
    mean over all layers, each counted as often as it multiplies; of an exact point they are the widths that were needed
    on its images.  ``processing_element`` is the size of the largest multiply-accumulate unit that a layer needs.
    """
    empty: dict[str, Any] = dict.fromkeys(COLUMNS)
    if calibration is None or not calibration["layers"]:
        return empty
    layers = calibration["layers"]
    found = empty | {"storage_bits": calibration["weight_bits"]}
    widths = layer_widths(point, layers)
    if widths is None:
        return found
    macs = [layer["macs"] for layer in layers]
    found["accumulator_bits"] = max(widths)
    found["mean_accumulator_bits"] = sum(m * w for m, w in zip(macs, widths, strict=True)) / sum(macs)
    if gates is not None:
        sizes = [gates.size(*_design(layer, point), width) for layer, width in zip(layers, widths, strict=True)]
        known = [size for size in sizes if size is not None]
        found["processing_element"] = max(known) if len(known) == len(sizes) else None
    return found


def layer_widths(point: Row, layers: Sequence[Row]) -> list[int] | None:
    """Accumulator width of every layer; None where no integers are run, or only one layer was narrow."""
    if point["widths"]:
        return [point["widths"][layer["layer"]] for layer in layers]
    if point["mode"] not in ("integer", "integer_only") or point["layer"] is not None:
        return None
    if point["acc_bits"] is not None:
        return [point["acc_bits"]] * len(layers)
    return [point["observed"][layer["layer"]] for layer in layers] if point["observed"] else None


def _design(layer: Row, point: Row) -> tuple[Design, int]:
    """The processing element that a layer needs, and its shift; what cannot overflow takes a plain register."""
    given = str(layer["a_format"])
    kind = {"twin_softmax": "softmax", "twin_gelu": "gelu"}.get(given, given)
    code_bits = max(layer["a_bits"], layer["b_bits"])
    register = (point["overflow"] or OverflowMode.WRAP, point["order"] or Sequential.kind)
    if kind not in ("softmax", "gelu"):
        return (kind, code_bits, *register), 0
    shift = point[f"{kind}_shift"]
    suffix = "" if point["alignment"] in (None, Alignment.PRODUCT) else f"_{point['alignment']}"
    return (kind + suffix, code_bits, *register), layer["shift_max"] if shift is None else shift
