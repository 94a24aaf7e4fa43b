"""Options of figures and tables on the command line: ``-O name=value``, checked against the fields that they set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ptqsim.errors import unknown_name

from .artifact import Artifact

A = TypeVar("A", bound=Artifact)
_WORDS = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}


def legal_options(made: Artifact) -> dict[str, Any]:
    """The options of an artifact with their values."""
    return {field.name: getattr(made, field.name) for field in fields(made)}


def with_options(chosen: Sequence[Artifact], texts: Iterable[str]) -> list[Artifact]:
    """The artifacts with options from the command line.

    Parameters
    ----------
    chosen : sequence of Artifact
    texts : iterable of str
        ``name=value`` each: JSON, a bare text, or several values with commas between them.

    Returns
    -------
    list of Artifact
        Each with those options that it has.

    Raises
    ------
    ValueError
        For a text that can't be read, an option that none of them has (the nearest is suggested), or a value that an
        option doesn't take.
    """
    given = dict(map(_split, texts))
    known = {name for made in chosen for name in legal_options(made)}
    for name in given:
        if name not in known:
            what = f"option of {chosen[0].name}" if len(chosen) == 1 else "option of these figures and tables"
            raise unknown_name(what, name, sorted(known))
    return [_with(made, given) for made in chosen]


def _with(made: A, given: Mapping[str, str]) -> A:
    hints = get_type_hints(type(made))
    mine = legal_options(made)
    return replace(made, **{name: _value(name, text, hints[name]) for name, text in given.items() if name in mine})


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"option {text!r} can't be read; legal is name=value: try -O images=2000 or -O widths=8,6")
    return name, value


def _value(name: str, text: str, hint: Any) -> Any:
    """The value that a text stands for in a field of this type."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if NoneType in kinds and text.lower() in ("none", "null"):
        return None
    (kind,) = (k for k in kinds if k is not NoneType)
    if not text and get_origin(kind) is not tuple:  # as from a variable of the shell that is not set
        raise ValueError(f"option {name!r} has no value; legal is {name}=value: leave it out for its default")
    try:
        if get_origin(kind) is tuple:
            return tuple(_one(item, get_args(kind)[0]) for item in _items(text))
        return _one(_json(text), kind)
    except TypeError:
        raise ValueError(f"option {name!r} is {text!r}; legal is {_legal(kind)}") from None


def _one(value: Any, kind: type) -> Any:
    """A single value of a type; a TypeError if it is of another."""
    if kind is str:
        return value if isinstance(value, str) else json.dumps(value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError
    return value


def _items(text: str) -> list[Any]:
    value = _json(text)
    if isinstance(value, list):
        return value
    return [_json(item.strip()) for item in text.split(",") if item.strip()]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _legal(kind: Any) -> str:
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        return f"one or more values with commas between them, each {_WORDS[item]}"
    return _WORDS[kind]
