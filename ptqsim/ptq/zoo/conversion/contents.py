"""Tensors of a PyTorch checkpoint: where in it they are, and what their names are without the prefixes of wrappers.

This module imports nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

PREFIXES: Final = ("module.", "model.", "backbone.", "_orig_mod.")
"""Of DataParallel, of trainers' own modules, of detectors and self-supervised pairs, and of torch.compile."""

WEIGHTS: Final = (
    "state_dict", "model", "model_state_dict", "module", "net", "network", "weights", "params",
)  # fmt: skip
AVERAGED: Final = (
    "state_dict_ema", "model_ema", "ema", "ema_state_dict", "ema_model", "model_ema_state_dict", "params_ema",
)  # fmt: skip
"""Keys under which training scripts keep weights, and their exponential moving averages."""

_DEPTH: Final = 3

IsTensor = Callable[[object], bool]


class Refusal(Exception):  # noqa: N818 - what is answered, in one line
    """A checkpoint that is not converted."""


def dictionaries(root: object, is_tensor: IsTensor) -> dict[str, Mapping[Any, Any]]:
    """The dictionaries with tensors by path, keys joined by dots; the outermost is ``""``."""
    found: dict[str, Mapping[Any, Any]] = {}

    def visit(value: object, path: tuple[str, ...]) -> None:
        if not isinstance(value, Mapping):
            return
        if any(isinstance(key, str) and is_tensor(inner) for key, inner in value.items()):
            found[".".join(path)] = value
        if len(path) < _DEPTH:
            for key, inner in value.items():
                if isinstance(key, str):
                    visit(inner, (*path, key))

    visit(root, ())
    return found


def choose(found: Mapping[str, Mapping[Any, Any]], key: str | None, averaged: bool) -> str:
    """The path of the dictionary to convert.

    Parameters
    ----------
    found : mapping
        What :func:`dictionaries` found.
    key : str or None
        The path that the user names.
    averaged : bool
        Take the averaged weights.

    Raises
    ------
    Refusal
        Where there is none, or several that nothing tells apart.
    """
    listed = ", ".join(repr(path) for path in list(found)[:8] if path) or "none"
    if not found:
        raise Refusal("holds no dictionary of tensors: save a state_dict (torch.save(model.state_dict(), ...))")
    if key is not None:
        if key not in found:
            raise Refusal(f"has no dictionary of tensors under the key {key!r}; those that it has are {listed}")
        return key
    for name in AVERAGED if averaged else WEIGHTS:
        for path in found:
            if path == name or path.startswith(f"{name}."):
                return path
    if averaged:
        raise Refusal(
            f"has no averaged weights (EMA) under a usual key; its dictionaries of tensors are {listed}: try --key"
        )
    if "" in found:
        return ""
    plain = [path for path in found if path.partition(".")[0] not in AVERAGED]
    if len(plain) == 1:
        return plain[0]
    raise Refusal(f"has several dictionaries of tensors: name one of {listed} by --key, or --ema")


def renamed(names: Iterable[str], prefix: str | None, strip: bool) -> tuple[dict[str, str], list[str]]:
    """New names by old ones, and the prefixes that were taken off.

    Parameters
    ----------
    names : iterable of str
    prefix : str or None
        Take the names that begin so, and no others.
    strip : bool
        Take off each of ``PREFIXES`` that all names have, again and again.

    Raises
    ------
    Refusal
        Where no name has the prefix.
    """
    new = {name: name for name in names}
    taken: list[str] = []
    if prefix is not None:
        prefix = prefix if prefix.endswith(".") else f"{prefix}."
        new = {name: name.removeprefix(prefix) for name in new if name.startswith(prefix) and name != prefix}
        if not new:
            raise Refusal(f"has no tensor whose name begins with {prefix!r}: try it without --prefix, or with another")
        taken.append(prefix)
    while strip:
        common = next((p for p in PREFIXES if all(name.startswith(p) and name != p for name in new.values())), None)
        if common is None:
            break
        new = {old: name.removeprefix(common) for old, name in new.items()}
        taken.append(common)
    return new, taken
