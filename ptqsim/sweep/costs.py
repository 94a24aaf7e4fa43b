"""What a point costs: bits of storage, bits of accumulators, and gates where a table of them is there.

Costs follow from a point, its calibration and the table; so they are computed when results are read, and a new table
changes no result.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

Row = Mapping[str, Any]
COLUMNS: Final = ("storage_bits", "accumulator_bits", "mean_accumulator_bits", "processing_element")


@dataclass(frozen=True)
class Gates:
    """Sizes of processing elements, as ``ptqsim rtl synthesize --json`` writes them.

    Attributes
    ----------
    unit : str
        ``transistors``, or ``area`` in the units of a cell library.
    sizes : mapping
        From design, code bits, shift and overflow to pairs of accumulator width and size, in ascending order.
    """

    unit: str
    sizes: Mapping[tuple[str, int, int, str], Sequence[tuple[int, float]]]

    def size(self, design: str, code_bits: int, shift: int, overflow: str, acc_bits: int) -> float | None:
        """Of one processing element; None where the table doesn't reach.

        Between two widths of the table it is on the line through them, as an adder and a register grow by the bit.  A
        shift that is not in the table costs what the next larger one does.
        """
        shifts = sorted(m for d, k, m, o in self.sizes if (d, k, o) == (design, code_bits, overflow) and m >= shift)
        if not shifts:
            return None
        known = self.sizes[design, code_bits, shifts[0], overflow]
        widths = [width for width, _ in known]
        at = bisect_left(widths, acc_bits)
        if at == len(widths) or acc_bits < widths[0]:
            return None
        if widths[at] == acc_bits:
            return known[at][1]
        (low, below), (high, above) = known[at - 1], known[at]
        return below + (above - below) * (acc_bits - low) / (high - low)


def read_gates(path: Path) -> Gates:
    """The table of a file.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is no result of ``ptqsim rtl synthesize --json``.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there are no gate counts at {path}: make them with ptqsim rtl synthesize --json")
    sizes: dict[tuple[str, int, int, str], list[tuple[int, float]]] = {}
    units: set[str] = set()
    try:
        for entry in json.loads(path.read_text(encoding="utf-8"))["points"]:
            point, gates = entry["point"], entry["gates"]
            if gates is None:
                continue
            unit = "transistors" if gates["area"] is None else "area"
            units.add(unit)
            shift = 0 if point["design"] in ("uniform", "pwlq") else point["shift"]
            listed = sizes.setdefault((point["design"], point["bits"], shift, point["overflow"]), [])
            listed.append((point["acc_bits"], float(gates[unit])))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} holds no gate counts ({error!r}): make them with ptqsim rtl synthesize --json"
        ) from None
    if len(units) != 1:
        raise ValueError(f"{path} has gate counts in {sorted(units)}; legal is one unit: make it anew")
    return Gates(units.pop(), {key: sorted(listed) for key, listed in sizes.items()})


def costs(point: Row, calibration: Row | None, gates: Gates | None) -> dict[str, Any]:
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
        # nothing overflows in an exact one, so that the simplest will do
        overflow = point["overflow"] or "wrap"
        sizes = [
            gates.size(*_design(layer, point), overflow, width) for layer, width in zip(layers, widths, strict=True)
        ]
        known = [size for size in sizes if size is not None]
        found["processing_element"] = max(known) if len(known) == len(sizes) else None
    return found


def layer_widths(point: Row, layers: Sequence[Row]) -> list[int] | None:
    """Accumulator width of every layer; None where no integers are run, or only one layer was narrow."""
    if point["widths"]:
        return [point["widths"][layer["layer"]] for layer in layers]
    if point["mode"] != "integer" or point["layer"] is not None:
        return None
    if point["acc_bits"] is not None:
        return [point["acc_bits"]] * len(layers)
    return [point["observed"][layer["layer"]] for layer in layers] if point["observed"] else None


def _design(layer: Row, point: Row) -> tuple[str, int, int]:
    """Design, code bits and shift of the processing element that a layer needs."""
    given = str(layer["a_format"])
    kind = {"twin_softmax": "softmax", "twin_gelu": "gelu"}.get(given, given)
    if kind not in ("softmax", "gelu"):
        return kind, max(layer["a_bits"], layer["b_bits"]), 0
    shift = point[f"{kind}_shift"]
    suffix = "" if point["alignment"] in (None, "product") else f"_{point['alignment']}"
    return kind + suffix, max(layer["a_bits"], layer["b_bits"]), layer["shift_max"] if shift is None else shift
