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


def integer_only_options(
    residual_bits: int, residual_scale: str, softmax: str | None, gelu: str | None, layer_norm: str | None
) -> dict[str, Any]:
    """Options of integer-only networks as keyword arguments of :func:`ptqsim.ptq.calibrate`.

    Raises
    ------
    ValueError
        For one that can't be read, or that no network could have; the message names the option and what is legal.
    """
    from ptqsim.ptq.integer_only.options import IntegerOnly

    found: dict[str, Any] = {"residual_bits": residual_bits, "residual_scale": _scale_of(residual_scale)}
    for name, text in (("softmax", softmax), ("gelu", gelu), ("layer_norm", layer_norm)):
        found[name] = None if text is None else _unit_of(name, text)
    texts = {"residual_scale": residual_scale, "softmax": softmax, "gelu": gelu, "layer_norm": layer_norm}
    for name, value in found.items():
        try:
            IntegerOnly.of(**{name: value})
        except ValueError as error:
            option = f"--{name.replace('_', '-')} {texts.get(name, value)}"
            raise ValueError(f"{option}: {error}") from None
    return found


_EXAMPLES: Final = {"softmax": "softmax,entries=16", "gelu": "shift_gelu,bits=8", "layer_norm": "precision=8"}


def _unit_of(name: str, text: str) -> dict[str, Any]:
    """A formulation and its options; of LayerNorm, which has one formulation, options alone."""
    first, *rest = text.split(",")
    kind = {} if "=" in first or name == "layer_norm" else {"kind": first}
    return kind | parse_pairs(f"--{name.replace('_', '-')}", rest if kind else [first, *rest], _EXAMPLES[name])


def _scale_of(text: str) -> str | float:
    """A scale of residuals: a number, or the name of a rule."""
    try:
        return float(text)
    except ValueError:
        return text
