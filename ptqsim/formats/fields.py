"""Fields of formats as plain data."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ptqsim.formats.base import NumberFormat


def written_fields(number_format: NumberFormat) -> list[dataclasses.Field[Any]]:
    """The fields that a format is written with: all but the later ones that have their default value."""
    return [
        field
        for field in dataclasses.fields(number_format)  # type: ignore[arg-type]
        if field.name not in number_format.later_fields or getattr(number_format, field.name) != field.default
    ]


def plain(value: Any) -> Any:
    """A value of a field as JSON has it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value) if isinstance(value, str) else value
