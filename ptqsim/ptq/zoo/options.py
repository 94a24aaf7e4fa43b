"""Options of a network by name: image size, classes, channels, other arguments of timm, and its task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from ptqsim.common.choice import Choice
from ptqsim.errors import ArgumentTypeError, out_of_range

LARGEST_SIDE: Final = 4096
MOST_CLASSES: Final = 200_000
MOST_CHANNELS: Final = 1024
"""Beyond what any network has; a slip of the keyboard would otherwise ask for all of the memory."""

_OURS: Final = frozenset(
    {
        "model_name", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_strict",
        "pretrained_model_args", "checkpoint_path", "cache_dir", "features_only", "scriptable", "exportable", "no_jit",
        "device", "dtype",
    }
)  # fmt: skip
"""Arguments of timm that load or fetch weights, or give something else than a network: they have options here."""


class ModelTask(Choice):
    """The task that a network by name can be given."""

    CLASSIFICATION = "classification"
    EMBEDDING = "embedding"


@dataclass(frozen=True)
class ModelOptions:
    """The options that a network is made with beside its name; None is what timm has for that name.

    Attributes
    ----------
    img_size : tuple of (int, int) or None
        Height and width of images.
    num_classes : int or None
        Of the head; 0 is no head.
    in_chans : int or None
        Channels of images.
    model_kwargs : dict
        Other arguments of ``timm.create_model``; plain values.
    task : ModelTask or None
        By default ``embedding`` for a network without a head, ``classification`` for every other.
    """

    img_size: tuple[int, int] | None = None
    num_classes: int | None = None
    in_chans: int | None = None
    model_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    task: ModelTask | None = None

    @classmethod
    def of(
        cls,
        *,
        img_size: object = None,
        num_classes: object = None,
        in_chans: object = None,
        model_kwargs: object = None,
        task: object = None,
    ) -> Self:
        """The options as users give them.

        Parameters
        ----------
        img_size, num_classes, in_chans, model_kwargs, task : object
            As for :func:`ptqsim.ptq.load_model`.  What `model_kwargs` has of the first three is taken from there.

        Raises
        ------
        TypeError, ValueError
            For values that are not legal, an option that is given twice with different values, arguments of timm that
            would load something, and a task that contradicts the number of classes.
        """
        named = {"img_size": _size(img_size), "num_classes": num_classes, "in_chans": in_chans}
        others = _plain_arguments({} if model_kwargs is None else model_kwargs)
        for name, value in named.items():
            if name not in others:
                continue
            again = _size(others.pop(name)) if name == "img_size" else others.pop(name)
            if value is not None and value != again:
                raise ValueError(f"{name} was given as {value!r}, and among the arguments as {again!r}: choose one")
            named[name] = again
        _check_count("num_classes", named["num_classes"], 0, MOST_CLASSES)
        _check_count("in_chans", named["in_chans"], 1, MOST_CHANNELS)
        chosen = None if task is None else ModelTask.of(task, "task")  # type: ignore[arg-type]
        if chosen == ModelTask.CLASSIFICATION and named["num_classes"] == 0:
            raise ValueError(
                "task classification was asked for with num_classes=0, without a head: leave one of them out"
            )
        return cls(model_kwargs=others, task=chosen, **named)  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Self:
        """The options that :meth:`to_dict` wrote."""
        return cls.of(**entries)

    def to_dict(self) -> dict[str, Any]:
        """The options that are given, as values of JSON."""
        found = {
            "img_size": None if self.img_size is None else list(self.img_size),
            "num_classes": self.num_classes,
            "in_chans": self.in_chans,
            "model_kwargs": dict(self.model_kwargs) or None,
            "task": None if self.task is None else self.task.value,
        }
        return {name: value for name, value in found.items() if value is not None}

    def with_told(self, num_classes: int | None, in_chans: int | None) -> Self:
        """The same with what a checkpoint tells; what contradicts it is a ValueError.

        Parameters
        ----------
        num_classes, in_chans : int or None
            Of the checkpoint; None where it does not tell.  Its head may be left out (``num_classes=0``).
        """
        if self.num_classes and num_classes is not None and num_classes != self.num_classes:
            of_head = f"head has {num_classes} classes" if num_classes else "weights have no head"
            raise ValueError(
                f"num_classes was given as {self.num_classes}, and the checkpoint's {of_head}: leave the option "
                "(--num-classes) out, or name another checkpoint"
            )
        if self.in_chans and in_chans is not None and in_chans != self.in_chans:
            raise ValueError(
                f"in_chans was given as {self.in_chans}, and the checkpoint's first convolution takes {in_chans}: "
                "leave the option (--in-chans) out, or name another checkpoint"
            )
        return replace(
            self,
            num_classes=num_classes if self.num_classes is None else self.num_classes,
            in_chans=in_chans if self.in_chans is None else self.in_chans,
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of ``timm.create_model``."""
        named = {"img_size": self.img_size, "num_classes": self.num_classes, "in_chans": self.in_chans}
        return {name: value for name, value in named.items() if value is not None} | dict(self.model_kwargs)


def _size(given: object) -> tuple[int, int] | None:
    if given is None:
        return None
    sides = tuple(given) if isinstance(given, (tuple, list)) else (given, given)
    if len(sides) != 2:
        raise ValueError(f"img_size is {given!r}; legal is one integer, or a pair of height and width: try 224")
    for side in sides:
        _check_count("img_size", side, 1, LARGEST_SIDE)
    return sides[0], sides[1]


def _check_count(what: str, given: object, lowest: int, highest: int) -> None:
    if given is not None and not (type(given) is int and lowest <= given <= highest):
        raise out_of_range(what, given, lowest, highest)


def _plain_arguments(given: object) -> dict[str, Any]:
    """Arguments whose values a file can keep: lists become tuples, as timm's own defaults are."""
    if not isinstance(given, Mapping):
        raise ArgumentTypeError(
            f"the model's arguments are a {type(given).__name__}; legal is a dict of timm's arguments"
        )
    for name in given:
        if not (isinstance(name, str) and name.isidentifier()):
            raise ValueError(f"argument {name!r} of the model is no name; legal are names of timm's arguments")
        if name in _OURS:
            raise ValueError(
                f"argument {name!r} of the model is not passed to timm: weights are named by --checkpoint or "
                "--pretrained (checkpoint=, pretrained=), and the network is a plain one in float32"
            )
    return {name: _plain(name, value) for name, value in given.items()}


def _plain(name: str, value: object) -> Any:
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(_plain(name, inner) for inner in value)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(name, inner) for key, inner in value.items()}
    raise ArgumentTypeError(
        f"argument {name!r} of the model is {value!r}; legal are None, booleans, finite numbers, texts, and tuples, "
        "lists and dictionaries of these"
    )
