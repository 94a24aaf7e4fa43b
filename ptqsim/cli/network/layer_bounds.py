"""Accumulator width of every layer of a calibrated model, by each bound."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import ptqsim as pq
from ptqsim.cli.framework.options import load_calibrated
from ptqsim.cli.framework.output import Output

BOUNDS: Final = ("datatype", "weight_aware", "row_stochastic", "calibrated")


def layer_bounds(calibrated: Path, data: str, images: int, alignment: str, zero_point: str, as_json: bool) -> None:
    """Print the widths of a calibrated model, one row per layer.

    Parameters
    ----------
    calibrated : Path
        What ``ptqsim calibrate`` wrote.
    data : str
        Where the images of the calibrated bound come from.
    images : int
        How many; 0 leaves that bound out.
    alignment, zero_point : str
        Of the accumulator.
    as_json : bool
        Print JSON.
    """
    from ptqsim import ptq

    out = Output(as_json)
    quantized = load_calibrated(calibrated)
    quantized.accumulator = pq.Accumulator(bits=63, alignment=alignment, zero_point=zero_point)
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
    out.result(
        {
            "layers": {
                name: {
                    "depth": quantized.layers[name].depth,
                    "bounds": {
                        bound.name: {"bits": bound.bits, "kind": bound.kind, "why": bound.why}
                        for bound in found[name].values()
                    },
                }
                for name in found
            }
        }
    )
