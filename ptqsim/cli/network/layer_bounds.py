"""Accumulator width of every layer of a calibrated model, by each bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import ptqsim as pq
from ptqsim.cli.blocks import fixed_point, refuse_block_options
from ptqsim.cli.framework.options import load_calibrated
from ptqsim.cli.framework.output import Output

BOUNDS: Final = ("datatype", "weight_aware", "row_stochastic", "calibrated")


def layer_bounds(
    calibrated: Path, data: str, images: int, alignment: str, zero_point: str | None, weight: int | None,
    rounding: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Print the widths of a calibrated model, one row per layer.

    Parameters
    ----------
    calibrated : Path
        What ``ptqsim calibrate`` wrote.
    data : str
        Where the images of the calibrated bound come from.
    images : int
        How many; 0 leaves that bound out.
    alignment : str
        Of the accumulator.
    zero_point : str or None
        Likewise; None for the one that calibration chose for each layer.
    weight, rounding : int and str, or None
        Of the fixed-point register of blocks; without a weight products of blocks have no width.
    as_json : bool
        Print JSON.
    """
    from ptqsim import ptq

    out = Output(as_json)
    quantized = load_calibrated(calibrated)
    wide = pq.Accumulator(bits=63, alignment=alignment, zero_point=zero_point or "operand")
    quantized.accumulator = quantized.as_calibrated(wide) if zero_point is None else wide
    has_blocks = any(layer.has_blocks for layer in quantized.layers.values())
    if has_blocks and weight is not None:
        quantized.register = fixed_point(weight, rounding, bits=63)
    elif not has_blocks:
        refuse_block_options({"--weight": weight, "--rounding": rounding})
    if images:
        source = ptq.load_data(data, quantized.model, split="calibration")
        quantized.mode = "integer"
        quantized.statistics = True
        with out.progress("observing", "image") as report:
            ptq.measure(quantized, source, limit=images, batch=8, progress=report)
    found = {name: layer.bounds for name, layer in quantized.layers.items()}
    rows = []
    for name, layer in quantized.layers.items():
        formats = layer.formats
        assert formats is not None
        widths = [found[name][bound].bits if bound in found[name] else None for bound in BOUNDS]
        rows.append([name, layer.depth, ptq.describe(formats.a), ptq.describe(formats.b), *widths])
    out.table(
        ["layer", "K", "A", "B", *(bound.replace("_", "-") for bound in BOUNDS)],
        rows,
        title="Bits of a signed accumulator that is safe, by each bound",
    )
    out.note("datatype, weight-aware and row-stochastic are theorems; calibrated is an observation on the images run.")
    if has_blocks and weight is None:
        out.note("Products of blocks have a width in fixed point: give the exponent of the least bit, --weight -16.")
    units = widest_of_units(quantized)
    if units:
        rows = [[name, unit["kind"], unit["widest"], unit["widths"][unit["widest"]]] for name, unit in units.items()]
        title = "Widest value on the way through each unit of the integer-only network, a theorem"
        out.table(["step", "unit", "value", "bits"], rows, title=title)
    out.result(
        {
            "units": units,
            "layers": {
                name: {
                    "depth": quantized.layers[name].depth,
                    "bounds": {
                        bound.name: {"bits": bound.bits, "kind": bound.kind, "why": bound.why}
                        for bound in found[name].values()
                    },
                }
                for name in found
            },
        }
    )


def widest_of_units(quantized: Any) -> dict[str, dict[str, Any]]:
    """Width of every named value of the units of an integer-only network, and the widest, by step; none without one.

    Where a step has a unit for each head, the width is that of the widest of them.
    """
    found: dict[str, dict[str, Any]] = {}
    for step in () if quantized.plan is None else quantized.plan.steps:
        for unit in getattr(step, "units", ()):
            widths = {name: interval.bits for name, interval in unit.widths().items()}
            before = found.get(step.name, {"widths": {}})["widths"]
            joined = {name: max(bits, before.get(name, 0)) for name, bits in widths.items()}
            found[step.name] = {
                "kind": unit.kind,
                "widths": joined,
                "widest": max(joined, key=lambda name: joined[name]),
            }
    return found
