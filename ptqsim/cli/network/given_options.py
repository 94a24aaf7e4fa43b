"""Options of a calibration as they are given on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from ptqsim.errors import unknown_name


def mixed_precision(sensitivity: str | None, model_size: float | None, options: Iterable[tuple[str, Any]]) -> Any:
    """Mixed precision as the flags ask for it; None if they ask for none."""
    from ptqsim import ptq

    given: dict[str, Any] = dict(options)
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


def method_option(text: str) -> tuple[str, Any]:
    """Name and value of an option of a method; the value is JSON, or else the text itself."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise ValueError(f"method option {text!r} can't be read; legal is name=value: try -O gradient=sampled")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def named_formats(texts: Sequence[str]) -> dict[str, str]:
    """Names of formats by kind of operand, from texts KIND=NAME."""
    found: dict[str, str] = {}
    for text in texts:
        kind, equals, name = text.partition("=")
        if not (kind and equals and name):
            raise ValueError(f"--format {text!r} can't be read; legal is KIND=NAME: try --format gelu=e3m4")
        if kind in found:
            raise ValueError(f"--format has {kind} twice: give it once")
        found[kind] = name
    return found


def given_folds(names: Sequence[str], smoothing: float | None) -> list[Any]:
    """Folds by name, and smoothing by its power."""
    from ptqsim import ptq

    legal = {fold.name: fold for fold in (ptq.AttentionBalance, ptq.Centering, ptq.NormIntoWeights)}
    for name in names:
        if name not in legal:
            raise unknown_name("fold", name, legal)
    if smoothing is not None and not 0 <= smoothing <= 1:
        raise ValueError(f"--smoothing is {smoothing}; legal is a power from 0 to 1: try 0.5")
    folds: list[Any] = [legal[name]() for name in names]
    return folds if smoothing is None else [*folds, ptq.Smoothing(power=smoothing)]
