"""Options of integer-only networks on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from ptqsim.cli.framework.pairs import parse_pairs

RESIDUAL_BITS: Final = 16
RESIDUAL_SCALE: Final = "free"

IntegerOnlyOption = Annotated[
    bool,
    typer.Option("--integer-only", help="Make the network run without a float from pixels to logits, too."),
]
ResidualBitsOption = Annotated[
    int, typer.Option("--residual-bits", help="With --integer-only: width of the residual stream, 4 to 16.")
]
ResidualScaleOption = Annotated[
    str,
    typer.Option(
        "--residual-scale",
        help="With --integer-only: free or power_of_two, a scale at every addition; one; or a number for all.",
    ),
]
SoftmaxOption = Annotated[
    str | None,
    typer.Option(
        "--softmax",
        metavar="KIND[,KEY=VALUE...]",
        help="With --integer-only: softmax, shiftmax, i_exp_softmax, ita_softmax or tflite_softmax, with options such "
        "as softmax,entries=16,table_bits=8 or softmax,score_bits=8.",
    ),
]
GeluOption = Annotated[
    str | None,
    typer.Option(
        "--gelu",
        metavar="KIND[,KEY=VALUE...]",
        help="With --integer-only: gelu, a table, shift_gelu or i_gelu; bits is the width of the pre-activation.",
    ),
]
LayerNormOption = Annotated[
    str | None,
    typer.Option(
        "--layer-norm",
        metavar="KEY=VALUE[,...]",
        help="With --integer-only: precision, fraction and gain_bits of LayerNorm, for instance precision=8.",
    ),
]


def check_integer_only(integer_only: bool, given: Mapping[str, object]) -> None:
    """Refuse options of integer-only networks, which are true where they were given, without ``--integer-only``."""
    named = [option for option, value in given.items() if value]
    if named and not integer_only:
        raise ValueError(f"{named[0]} is an option of integer-only networks: add --integer-only, or leave it out")


def unit_of(option: str, text: str | None, kind: str | None = None) -> dict[str, Any] | None:
    """A formulation and its options; None if the option was not given.

    Raises
    ------
    ValueError
        For a text that can't be read.
    """
    if text is None:
        return None
    first, *rest = text.split(",")
    if "=" in first or kind is not None:
        first, rest = kind or "", text.split(",")
    named = {"kind": first} if first else {}
    return named | parse_pairs(option, rest)


def scale_of(text: str) -> str | float:
    """A scale of residuals: a number, or the name of a rule."""
    try:
        return float(text)
    except ValueError:
        return text
