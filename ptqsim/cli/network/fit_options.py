"""Options of weights that fit an accumulator, and of accumulators that differ between weights and attention."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ptqsim as pq
from ptqsim.cli.framework.output import Output
from ptqsim.errors import unknown_name

if TYPE_CHECKING:
    from ptqsim import ptq

FitAccumulatorOption = Annotated[
    str | None,
    typer.Option(
        "--fit-accumulator",
        metavar="BITS[,NAME=VALUE...]",
        help="Choose weights with which no input can overflow this accumulator: its width, and where they matter its "
        "order, alignment and zero_point, e.g. 20,order=split:64:16.",
    ),
]
FitOption = Annotated[
    str | None,
    typer.Option(
        "--fit",
        help="With --fit-accumulator: compensate or project, rounding with compensation of the error, or to the "
        "nearest codes; compensate by default.",
    ),
]
AttentionBitsOption = Annotated[
    int | None,
    typer.Option("--attention-bits", help="Accumulator width of products of two activations; as --bits by default."),
]

_NAMES = ("order", "alignment", "zero_point")


def fit_accumulator(text: str | None, fit: str | None) -> pq.Accumulator | None:
    """The accumulator that ``--fit-accumulator`` describes, None if it is not given.

    Raises
    ------
    ValueError
        If the text cannot be read, the accumulator is not legal, or a way to fit was given without one.
    """
    if text is None:
        if fit is not None:
            raise ValueError(f"--fit {fit} was given without an accumulator to fit: add --fit-accumulator 16")
        return None
    bits, *rest = text.split(",")
    try:
        if not (bits.isascii() and bits.isdigit()):
            raise ValueError(f"{bits!r} is no width in bits, which comes first: try 16, or 20,order=split:64:16")
        options: dict[str, Any] = {}
        for part in rest:
            name, equals, value = part.partition("=")
            if name not in _NAMES:
                raise unknown_name("option", name, _NAMES)
            if not (equals and value):
                raise ValueError(f"{part!r} can't be read: legal is {name}=VALUE")
            if name in options:
                raise ValueError(f"{name} is there twice: give it once")
            options[name] = value
        return pq.Accumulator(int(bits), **options)
    except ValueError as error:
        raise ValueError(f"--fit-accumulator {text}: {error}") from None


def give_accumulators(quantized: ptq.QuantizedModel, accumulator: pq.Accumulator, attention_bits: int | None) -> None:
    """Let every layer run on the accumulator, and products of two activations on one of another width if given."""
    quantized.accumulator = accumulator
    if attention_bits is not None:
        other = replace(accumulator, bits=attention_bits)
        quantized.accumulator = {name: other for name, op in quantized.layers.items() if op.constant_b is None}


def show_fit(out: Output, quantized: ptq.QuantizedModel) -> None:
    """Print what was fitted, and the width that products of activations need, which are not."""
    fits: dict[str, Any] = {name: op.report["fit"] for name, op in quantized.layers.items() if "fit" in op.report}
    if not fits:
        return
    rows = []
    for name, fit in fits.items():
        errors = [f"{fit['error'][when]:.3g}" if "error" in fit else None for when in ("before", "after")]
        registers = "+".join(str(bits) for bits in fit["bits"].values())
        rows.append([name, f"{fit['channels']} of {fit['of']}", registers, *errors])
    headings = ["layer", "columns that did not fit", "bits now", "error before", "after"]
    out.table(headings, rows, title="Weights that fit, and the relative squared error of their output")
    widths = {
        name: min(bound.bits for bound in op.bounds.values() if bound.kind == "theorem")
        for name, op in quantized.layers.items()
        if op.constant_b is None
    }
    if widths:
        widest = max(widths, key=widths.__getitem__)
        out.note(
            f"products of two activations are not fitted; {widths[widest]} bits are safe for all of them ({widest} "
            "needs most): give that width with --attention-bits"
        )
