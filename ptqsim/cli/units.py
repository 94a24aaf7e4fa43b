"""Integer units between the products: their widths, and their greatest errors.

Without a name, the table has one line for every formulation: its widest intermediate value, and its greatest distance
from the real function, in values of the output format, on the setting that the options describe. With the name of a
formulation, for instance

    ptqsim units layer_norm --residual-bits 12 --features 384

the table has one line for every intermediate value: the integers that it can be, for every input, and the bits that
hold them. These are theorems; docs/units/ has the definitions and the proofs. Errors of accumulators are those of all
accumulators; errors of rows are those of 400 rows, always the same ones.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ptqsim import units as pq_units
from ptqsim.cli.framework.output import JsonOption, Output
from ptqsim.errors import unknown_name
from ptqsim.units.errors_of_units.comparison import Measured, Setting, compare


def units(
    name: Annotated[str | None, typer.Argument(help="A formulation, for its intermediate values.")] = None,
    bits: Annotated[int, typer.Option("--bits", help="Width of the output codes, 3 to 10.")] = 8,
    shift: Annotated[int, typer.Option("--shift", help="Alignment exponent of TwinSoftmax, 0 to 16.")] = 6,
    length: Annotated[int, typer.Option("--length", help="Scores in a row of softmax, 2 to 1024.")] = 197,
    features: Annotated[int, typer.Option("--features", help="Length of a row of LayerNorm, 2 to 4096.")] = 192,
    acc_bits: Annotated[int, typer.Option("--acc-bits", help="Signed bits of accumulators, 12 to 20.")] = 18,
    residual_bits: Annotated[int, typer.Option("--residual-bits", help="Bits of the residual, 8 to 16.")] = 16,
    precision: Annotated[int, typer.Option("--precision", help="Bits of LayerNorm's root, 4 to 28.")] = 16,
    entries: Annotated[int, typer.Option("--entries", help="Entries of softmax's table, a power of two.")] = 64,
    table_bits: Annotated[int, typer.Option("--table-bits", help="Bits of an entry of that table, 2 to 24.")] = 15,
    as_json: JsonOption = False,
) -> None:
    if name is not None and name not in pq_units.UNITS:
        raise unknown_name("unit", name, pq_units.UNITS)
    setting = Setting(bits, shift, length, features, acc_bits, residual_bits, precision, entries, table_bits)
    measured = [one for one in compare(setting) if name in (None, one.unit.kind)]
    output = Output(as_json)
    if name is None:
        rows = [_summary(one) for one in measured]
        output.table(["unit", "widest value", "bits", "greatest error", "differing", "inputs", "source"], rows)
        output.note(
            "Errors are in values of the output format. ptqsim units NAME lists the intermediate values of one."
        )
    else:
        for one in measured:
            _show_widths(output, one)
    output.result({"units": [_describe(one) for one in measured]})


def _summary(one: Measured) -> list[str | int]:
    widths = one.unit.widths()
    widest = max(widths, key=lambda value: widths[value].bits)
    inputs = f"all {one.inputs}" if one.exhaustive else f"{one.inputs} drawn"
    share = f"{100 * one.differing:.2f} %"
    return [one.unit.kind, widest, widths[widest].bits, one.greatest, share, inputs, one.unit.source]


def _show_widths(output: Output, one: Measured) -> None:
    rows = [
        (value, interval.bits, "yes" if interval.signed else "no", interval.lowest, interval.highest)
        for value, interval in one.unit.widths().items()
    ]
    output.table(["value", "bits", "signed", "lowest", "highest"], rows, title=f"{one.unit.kind}: {one.unit.source}")
    share = 100 * one.differing
    output.note(f"Greatest error {one.greatest}; {share:.2f} % of codes differ from those of the real function.")


def _describe(one: Measured) -> dict[str, Any]:
    widths = {
        value: {"bits": interval.bits, "lowest": interval.lowest, "highest": interval.highest}
        for value, interval in one.unit.widths().items()
    }
    return {
        "unit": one.unit.kind,
        "source": one.unit.source,
        "greatest_error": one.greatest,
        "differing": one.differing,
        "inputs": one.inputs,
        "exhaustive": one.exhaustive,
        "widths": widths,
        "constants": one.unit.to_dict(),
    }
