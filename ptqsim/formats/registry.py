"""Formats by the name under which files know them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ptqsim.errors import unknown_name
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.blocks.block import Block
from ptqsim.formats.compared.pwlq import PWLQ
from ptqsim.formats.compared.released import ReleasedTwinGELU, ReleasedTwinSoftmax
from ptqsim.formats.floats.minifloat import Minifloat
from ptqsim.formats.log2 import Log2
from ptqsim.formats.twin import TwinGELU, TwinSoftmax
from ptqsim.formats.uniform import Uniform

FORMATS: dict[str, type[NumberFormat]] = {
    kind.kind: kind
    for kind in (Uniform, TwinSoftmax, TwinGELU, Log2, Minifloat, PWLQ, ReleasedTwinSoftmax, ReleasedTwinGELU)
}


def from_dict(data: Mapping[str, Any]) -> NumberFormat:
    """The format that `NumberFormat.to_dict` wrote.

    Raises
    ------
    ValueError
        If the kind is unknown, a field is missing or unknown, or a value is out of range.
    """
    fields = dict(data)
    kind = fields.pop("kind", None)
    try:
        if kind not in FORMATS:
            raise unknown_name("number format", kind, FORMATS)
        return FORMATS[kind](**fields)
    except TypeError as error:
        raise ValueError(
            f"cannot make a number format of kind {kind!r} from the fields {sorted(fields)}: {error}"
        ) from None


def block_from_dict(data: Mapping[str, Any]) -> Block:
    """The format that `Block.to_dict` wrote.

    Raises
    ------
    ValueError
        If it is of another kind, a field is missing or unknown, or a value is out of range.
    """
    fields = dict(data)
    kind, element = fields.pop("kind", None), fields.pop("element", None)
    if kind != "block" or not isinstance(element, Mapping):
        raise ValueError(f"a block format is of kind 'block' and has an element, got kind {kind!r} and {element!r}")
    try:
        return Block(from_dict(element), **fields)
    except TypeError as error:
        raise ValueError(f"cannot make a block format from the fields {sorted(fields)}: {error}") from None
