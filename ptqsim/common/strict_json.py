"""JSON that every parser reads: Python's own writer has NaN and Infinity, which JSON has not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from os import PathLike, fspath

import numpy as np


def dumps(value: object, *, indent: int | None = None, separators: tuple[str, str] | None = None) -> str:
    """Render a value as JSON; floats that are not finite become null.

    Parameters
    ----------
    value : object
        As for :func:`plain`.
    indent : int, optional
        Spaces of each level; one line by default.
    separators : tuple of str, optional
        As of :func:`json.dumps`.

    Returns
    -------
    str
        ASCII alone.
    """
    return json.dumps(plain(value), indent=indent, separators=separators, allow_nan=False)


def plain(value: object) -> object:
    """Reduce a value to what JSON has, floats that are not finite to None.

    Parameters
    ----------
    value : object
        Mappings with keys of text, sequences, dataclasses, NumPy arrays and scalars, paths, text, numbers, truth values
        and None, in each other.

    Raises
    ------
    TypeError
        For anything else.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {key: plain(cell) for key, cell in value.items()}
        case list() | tuple():
            return [plain(cell) for cell in value]
        case PathLike():
            return fspath(value)
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")
