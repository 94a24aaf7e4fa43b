"""The option ``--preset``: arguments of a calibration by the name of a published method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from ptqsim.cli.framework.output import Output
from ptqsim.errors import unknown_name


def preset_arguments(name: str, options: Mapping[str, Any], beside: Sequence[str]) -> dict[str, Any]:
    """Arguments of :func:`ptqsim.ptq.calibrate` by the name of a preset, with options of its method replaced.

    Parameters
    ----------
    name : str
        As ``--preset`` has it.
    options : mapping
        Options of the method, given beside it.
    beside : sequence of str
        Options of the command line that a preset decides and that were given all the same.

    Raises
    ------
    ValueError
        For an unknown preset or option, and for options beside it that it decides.
    """
    from ptqsim import ptq

    chosen = ptq.preset(name)
    if beside:
        raise ValueError(
            f"{', '.join(beside)} and --preset {name} were given, and a preset decides all of these; legal beside it "
            "are widths, images and options of its method: try -O"
        )
    legal = [field.name for field in fields(chosen.method)]  # type: ignore[arg-type]
    for option in options:
        if option not in legal:
            raise unknown_name(f"option of preset {name!r}", option, legal)
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
