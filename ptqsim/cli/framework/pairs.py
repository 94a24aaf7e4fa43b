"""Options of the form key=value, as timm's own scripts take them: repeated, or one after the other."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any, Final

SPREAD: Final = frozenset({"--model-kwargs"})
"""Options that may be followed by several key=value."""

_PAIR: Final = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_SIZE: Final = re.compile(r"([0-9]{1,9})(?:[xX]([0-9]{1,9}))?")


def spread(arguments: Sequence[str]) -> list[str]:
    """Arguments with the option repeated before each further key=value: ``--o a=1 b=2`` is ``--o a=1 --o b=2``."""
    found: list[str] = []
    option = ""
    for at, argument in enumerate(arguments):
        if argument == "--":
            return [*found, *arguments[at:]]
        if argument in SPREAD:
            option = argument
            found.append(argument)
        elif option and _PAIR.fullmatch(argument):
            found += [argument] if found[-1] == option else [option, argument]
        else:
            option = ""
            found.append(argument)
    return found


def parse_pairs(option: str, texts: Sequence[str], example: str = "global_pool=avg") -> dict[str, Any]:
    """The values by key; a value is a Python literal, or else the text itself.

    Raises
    ------
    ValueError
        For a text that is no key=value, and a key that is there twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not (_PAIR.fullmatch(text) and value):
            raise ValueError(f"{option} {text!r} can't be read; legal is KEY=VALUE: try {option} {example}")
        if key in found:
            raise ValueError(f"{option} has {key} twice: give it once")
        found[key] = _literal(value)
    return found


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # all that it may raise
        return text


def parse_size(text: str) -> int | tuple[int, int]:
    """The side of an image, or height and width: ``224`` or ``224x160``."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"--img-size {text!r} can't be read; legal is one number, or height and width: try 224 or 224x160"
        )
    height, width = match.groups()
    return int(height) if width is None else (int(height), int(width))
