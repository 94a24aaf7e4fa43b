"""The option ``--preset``: arguments of a calibration by the name of a published method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

import typer

from ptqsim.cli.framework.output import Output
from ptqsim.cli.framework.typed import typed
from ptqsim.errors import unknown_name

DECIDED: Final = ("method", "variant", "formats", "fold", "w_granularity", "a_symmetric", "smoothing")
"""Parameters of the command that a preset decides."""


def preset_arguments(
    context: typer.Context, name: str, options: Mapping[str, Any], w_bits: int, a_bits: int
) -> dict[str, Any]:
    """Arguments of :func:`ptqsim.ptq.calibrate` by the name of a preset, with options of its method replaced.

    Parameters
    ----------
    context : typer.Context
        Of the running command.
    name : str
        As ``--preset`` has it.
    options : mapping
        Options of the method, given beside it.
    w_bits, a_bits : int
        Widths that were asked for.

    Raises
    ------
    ValueError
        For an unknown preset or option, for options beside it that it decides, and for widths that its formats do not
        have.
    """
    from ptqsim import ptq
    from ptqsim.ptq.search.operand_formats import NAMED_FORMATS

    chosen = ptq.preset(name)
    if beside := typed(context, DECIDED):
        raise ValueError(
            f"{', '.join(beside)} was given beside --preset {name}, which decides that; legal beside it are widths, "
            "images and options of its method: try -O"
        )
    for kind, one in chosen.formats:
        if a_bits > (most := NAMED_FORMATS[one].most_bits):
            raise ValueError(
                f"--preset {name} has format {one} of {kind} codes, which a datapath takes up to {most} bits, and "
                f"--a-bits is {a_bits}: try --a-bits {min(most, w_bits)}"
            )
    legal = [field.name for field in fields(chosen.method)]  # type: ignore[arg-type]
    for option in options:
        if option not in legal:
            raise unknown_name(f"option of {chosen.title}'s method,", option, legal)
    arguments = chosen.arguments()
    if options:
        arguments["method"] = replace(chosen.method, **options)  # type: ignore[type-var]
    return arguments


def list_presets(out: Output) -> None:
    """A table of all presets."""
    from ptqsim import ptq

    rows = [[one.name, one.title, str(one.images), one.source, one.departs] for one in ptq.PRESETS.values()]
    out.table(["preset", "method", "images", "source", "departs from it"], rows, title="Presets")
    out.result({one.name: {"source": one.source, "departs": one.departs} for one in ptq.PRESETS.values()})
