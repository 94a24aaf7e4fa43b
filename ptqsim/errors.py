"""The errors of the simulator, and the wording that they share.

Bad input says what was given, what is legal and what to try: a wrong value is a ``ValueError``, a wrong type an
`ArgumentTypeError`, which is a ``TypeError``. The one error that is no bad input is a trapped overflow: it is what the
simulated hardware was asked to report.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable
from numbers import Integral

_LISTED = 40  # names that a message lists in full


class ArgumentTypeError(TypeError, ValueError):
    """An argument of a wrong type.

    It is a ``TypeError``, and a ``ValueError`` too, which functions that check arguments by ``except ValueError`` rely
    on.  The command line prints it in one line, unlike other TypeErrors, which are faults of the program.
    """


def unknown_name(what: str, given: object, legal: Iterable[str]) -> ValueError | ArgumentTypeError:
    """The error for a name that is not one of the legal ones, with the nearest legal one suggested.

    It is an `ArgumentTypeError` if what was given is no string, as no name could be.

    Parameters
    ----------
    what : str
        What the name stands for, such as ``"overflow mode"``.
    given : object
        What was given in its place.
    legal : iterable of str
        Every legal name.
    """
    names = list(legal)
    if not isinstance(given, str):
        listed = names[:_LISTED]
        rest = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        return ArgumentTypeError(
            f"{what} must be a string, got {given!r} of type {type(given).__name__}; legal are "
            f"{', '.join(map(repr, listed))}{rest}"
        )
    near = difflib.get_close_matches(str(given), names, n=3, cutoff=0.4)
    if len(names) > _LISTED:
        hint = f"near are {', '.join(map(repr, near))}" if near else f"for instance {', '.join(map(repr, names[:3]))}"
        return ValueError(f"unknown {what} {given!r}; {len(names)} names are legal, {hint}")
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ValueError(f"unknown {what} {given!r}; legal are {', '.join(map(repr, names))}.{hint}")


def out_of_range(
    what: str, given: object, lowest: int, highest: int, advice: str = ""
) -> ValueError | ArgumentTypeError:
    """The error for an integer outside its legal range: an `ArgumentTypeError` if it is no integer."""
    is_integer = isinstance(given, Integral) and not isinstance(given, bool)
    return (ValueError if is_integer else ArgumentTypeError)(
        f"{what} must be an integer from {lowest} to {highest}, got {given!r}{'; ' + advice if advice else ''}"
    )


class ToolError(RuntimeError):
    """A program that was called failed, or stopped without a word; the message has the end of what it wrote."""


class ToolTimeoutError(RuntimeError):
    """A program that was called was given up after its time limit."""


def check_positive(what: str, given: object) -> None:
    """Refuse what is no integer of at least 1: a wrong type with an `ArgumentTypeError`, a value with a ValueError."""
    try:
        number = operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(given, bool):
        raise ArgumentTypeError(f"{what} is {given!r}; legal is an integer of at least 1") from None
    if number < 1:
        raise ValueError(f"{what} is {given}; legal is an integer of at least 1")


class AccumulatorOverflowError(OverflowError):
    """A trapping accumulator met a sum that its register cannot hold.

    Attributes
    ----------
    element : tuple of int
        Index of the first output element, in C order, in which it happened.
    step : int
        Depth index l of the (last) product that the failing addition brings in.
    register : str
        Which register failed: ``"accumulator"``, or ``"inner"`` for the tile register of a split order.
    bits : int
        Width of that register.
    bits_needed : int
        Width with which that register would have held every prefix sum of the whole product.
    """

    def __init__(self, element: tuple[int, ...], step: int, register: str, bits: int, bits_needed: int) -> None:
        super().__init__(element, step, register, bits, bits_needed)
        self.element = element
        self.step = step
        self.register = register
        self.bits = bits
        self.bits_needed = bits_needed

    def __str__(self) -> str:
        return (
            f"output element {self.element} overflows the {self.bits}-bit {self.register} register at step "
            f"{self.step}; {self.bits_needed} bits would be wide enough for this whole product. Widen the register, or "
            "choose overflow='wrap' or 'saturate'."
        )


class LayerOverflowError(AccumulatorOverflowError):
    """A trapped overflow, with the layer and the group (head, or part of a qkv layer) in which it happened."""

    def __init__(self, layer: str, group: int, error: AccumulatorOverflowError) -> None:
        super().__init__(error.element, error.step, error.register, error.bits, error.bits_needed)
        self.layer = layer
        self.group = group

    def __str__(self) -> str:
        return f"layer {self.layer!r}, group {self.group}: {super().__str__()}"
