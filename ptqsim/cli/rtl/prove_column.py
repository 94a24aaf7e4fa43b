"""Proofs about one output channel of a layer of a calibrated file (docs/fitted_weights.md)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ptqsim import fitting
from ptqsim.cli.framework.options import load_calibrated
from ptqsim.cli.framework.output import Output
from ptqsim.cli.rtl.claims import conclude, decided, show_claims
from ptqsim.cli.rtl.unit import describe
from ptqsim.rtl.proofs.columns import Column, column_claims, overflowing_input


def prove_column(
    out: Output, calibrated: Path, layer: str | None, group: int, column: int | None, bits: int | None, timeout: float
) -> None:
    """Prove that no input overflows an output channel, refute that a bit less would do, and replay such an input.

    Raises
    ------
    ValueError
        If the layer, the group or the column does not exist, or the layer has no weights.
    """
    from ptqsim.ptq.network.products.blocked import plain_codes, plain_formats

    quantized = load_calibrated(calibrated)
    op = quantized.layer(next(iter(quantized.layers)) if layer is None else layer)
    if layer is None:
        raise ValueError(f"no layer was given: try --layer {op.name}")
    if op.weight_codes is None or op.formats is None:
        other = next(name for name, one in quantized.layers.items() if one.weight_codes is not None)
        raise ValueError(
            f"layer {op.name} multiplies two activations, and a proof about an output channel needs weights; legal are "
            f"layers with weights: try --layer {other}"
        )
    codes, formats = plain_codes(op.weight_codes), plain_formats(op.formats.a)
    if group >= len(codes):
        raise ValueError(f"--group {group} was given, and layer {op.name} has {len(codes)}, counted from 0")
    a, weights = formats[group % len(formats)], codes[group]
    if column is not None and column >= weights.shape[1]:
        raise ValueError(f"--column {column} was given, and layer {op.name} has {weights.shape[1]}, counted from 0")
    accumulator = quantized.accumulators[op.name]
    needed = fitting.certificate(a, weights, accumulator)["accumulator"].per_output
    assert needed is not None
    column = int(np.argmax(needed)) if column is None else column
    if bits is not None:
        accumulator = replace(accumulator, bits=bits)
    elif "fit" not in quantized.info:
        accumulator = replace(accumulator, bits=int(needed[column]))
    about = Column(a, weights[:, column : column + 1], accumulator)
    verdicts = decided(out, column_claims(about), timeout)
    where = f"{op.name}, group {group}, column {column}"
    show_claims(out, verdicts, f"{where}: {describe(about.unit)}")
    shown = [overflowing_input(about, register) for register, least in about.widths.items() if least > 2]
    data = {"layer": op.name, "group": group, "column": column, "unit": about.unit.to_dict(), "bits": about.widths}
    conclude(out, data, verdicts, shown)
