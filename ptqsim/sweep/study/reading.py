"""Read a study file; every error names its line and column, what is legal, and the nearest spelling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ptqsim.errors import unknown_name
from ptqsim.sweep.study.definition import AXES, Axes, Study


def read_study(path: Path) -> Study:
    """The study of a file.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is no YAML, or no study; the message begins with ``file:line:column``.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no study at {path}: write one, see docs/sweep.md")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error}): give a study file, see docs/sweep.md") from None
    return parse_study(text, str(path))


def parse_study(text: str, name: str = "study") -> Study:
    """The study that a text holds; ``name`` is what errors call it."""
    try:
        document = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        problem = (error.problem or "can't be read").splitlines()[0]
        raise ValueError(f"{name}{where}: no YAML: {problem}") from None
    except YAMLError as error:  # without a place: characters that YAML has not
        raise ValueError(f"{name}: no YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(document, CommentedMap):
        raise ValueError(f"{name}:1:1: a study is a mapping with the keys name and axes, see docs/sweep.md")
    try:
        return Study.model_validate(_plain(document))
    except ValidationError as error:
        # an unknown name is often a misspelling of the missing one
        errors = sorted(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
        line, column = _position(document, errors[0]["loc"], errors[0]["type"])
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ValueError(f"{name}:{line}:{column}: {_told(errors[0])}{more}") from None


def _plain(value: Any) -> Any:
    """The document without the positions; pydantic's strict mode knows lists and dictionaries."""
    match value:
        case CommentedMap():
            return {key: _plain(item) for key, item in value.items()}
        case CommentedSeq():
            return [_plain(item) for item in value]
        case bool() | None:
            return value
        case int():
            return int(value)
        case float():
            return float(value)
        case str():
            return str(value)
    return value


def _position(document: CommentedMap, loc: Sequence[int | str], kind: str) -> tuple[int, int]:
    """Line and column, from 1, of what an error is about: the innermost part of its path that the file has."""
    node: Any = document
    line, column = document.lc.line, document.lc.col
    for part in loc:
        if isinstance(node, CommentedMap) and part in node:
            line, column = node.lc.key(part) if kind == "extra_forbidden" and part == loc[-1] else _of(node, part)
            node = node[part]
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line, column = node.lc.item(part)
            node = node[part]
    return line + 1, column + 1


def _of(node: CommentedMap, key: object) -> tuple[int, int]:
    """Line and column at which the value of a key begins; a nested block begins at its key."""
    where = node.lc.key(key) if isinstance(node[key], CommentedMap | CommentedSeq) else node.lc.value(key)
    return int(where[0]), int(where[1])


def _told(error: ErrorDetails) -> str:
    """The error in this project's words."""
    loc = [part for part in error["loc"] if isinstance(part, str)]
    what = ".".join(map(str, error["loc"]))
    match error["type"]:
        case "extra_forbidden":
            owner = _owner(loc[:-1])
            legal = AXES if owner is Axes else tuple(owner.model_fields)
            noun = "axis" if owner is Axes else "key"
            return str(unknown_name(noun, loc[-1], legal))
        case "missing":
            return f"{what} is missing: {'.'.join(loc[:-1]) or 'a study'} can't do without it, see docs/sweep.md"
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
    return f"{what} is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _owner(loc: Sequence[str]) -> type[BaseModel]:
    """The part of a study that a path leads to."""
    owner: type[BaseModel] = Study
    for part in loc:
        field = owner.model_fields.get(part)
        if field is not None:
            owner = next(_parts(field), owner)
    return owner


def _parts(field: Any) -> Iterator[type[BaseModel]]:
    """The models that the annotation of a field names."""
    waiting = [field.annotation]
    while waiting:
        found = waiting.pop()
        if isinstance(found, type) and issubclass(found, BaseModel):
            yield found
        waiting.extend(getattr(found, "__args__", ()))
