"""Mixed precision as the options of the command line describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ptqsim.errors import unknown_name


def mixed_precision_of(sensitivity: str | None, model_size: float | None, options: Mapping[str, Any]) -> Any:
    """Mixed precision as the flags ask for it; None if they ask for none."""
    from ptqsim import ptq

    given = dict(options)
    if sensitivity is None:
        if given or model_size is not None:
            raise ValueError(
                "an option of mixed precision was given, but not mixed precision: add --mixed-precision nuclear_norm"
            )
        return None
    legal = {field.name: field.default for field in fields(ptq.MixedPrecision)}
    for name, value in given.items():
        if name not in legal:
            raise unknown_name("option of mixed precision", name, legal)
        if name == "widths":
            if not (isinstance(value, list) and all(type(width) is int for width in value)):
                raise ValueError(f"widths are {value!r}; legal is a list of integers: try -M widths=[4,5,6,7,8]")
            given["widths"] = tuple(value)
    sizes = {} if model_size is None else {"model_size": model_size}
    return ptq.MixedPrecision(**{"sensitivity": sensitivity, **sizes, **given})
