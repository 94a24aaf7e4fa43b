"""Options of a calibration as they are given on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ptqsim.errors import unknown_name


def named_options(option: str, texts: Sequence[str], example: str) -> dict[str, Any]:
    """Options by name, from texts NAME=VALUE; a value is JSON, or else the text itself.

    Raises
    ------
    ValueError
        For a text that can't be read, and a name that is there twice.
    """
    return {name: _json(value) for name, value in _pairs(option, texts, "NAME=VALUE", example)}


def _pairs(option: str, texts: Sequence[str], form: str, example: str) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ValueError(f"{option} {text!r} can't be read; legal is {form}: try {option} {example}")
        if name in found:
            raise ValueError(f"{option} has {name} twice: give it once")
        found[name] = value
    return list(found.items())


def _json(value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def named_formats(texts: Sequence[str]) -> dict[str, str]:
    """Names of formats by kind of operand, from texts KIND=NAME."""
    return dict(_pairs("--format", texts, "KIND=NAME", "gelu=e3m4"))


def given_folds(names: Sequence[str], smoothing: float | None) -> list[Any]:
    """Folds by name, and smoothing by its power."""
    from ptqsim import ptq

    made = (ptq.AttentionBalance(), ptq.Centering(), ptq.NormIntoWeights(), ptq.Rotation())
    legal: dict[str, Any] = {fold.name: fold for fold in made}
    legal["learned_rotation"] = ptq.Rotation(steps=ptq.Rotation.STEPS)
    for name in names:
        if name not in legal:
            raise unknown_name("--fold", name, legal)
    if smoothing is not None and not 0 <= smoothing <= 1:
        raise ValueError(f"--smoothing is {smoothing}; legal is a power from 0 to 1: try 0.5")
    folds: list[Any] = [legal[name] for name in names]
    return folds if smoothing is None else [*folds, ptq.Smoothing(power=smoothing)]
