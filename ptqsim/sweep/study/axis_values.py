"""The values that the axes of a study may have, and how a file may write them down.

Every finding is a ``ValueError``, also one on a type: pydantic lets other errors pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator

from ptqsim.common.validation import MAX_SEED
from ptqsim.datapath.order import MAX_REGISTER_BITS, MIN_REGISTER_BITS, parse_order
from ptqsim.datapath.spec import Alignment, OverflowMode
from ptqsim.errors import out_of_range, unknown_name
from ptqsim.formats.blocks.named import BLOCKS
from ptqsim.sweep.study.point import FREE

EXACT: Final = "exact"
SEARCHED: Final = "searched"
METHOD: Final = "method"
"""Formats of the method, as against formats by name."""
MODES: Final = ("integer", "integer_only", "fake_quant", "float")
MAX_SHIFT: Final = 15


def _spread(value: object) -> object:
    """A single value is a list of one; ``{from: 12, to: 24, step: 2}`` is the integers it counts."""
    items: list[object] = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, Mapping) and "from" in item:
            items.extend(_counted(item))
        else:
            items.append(item)
    if not items:
        raise ValueError("an axis without values; legal is at least one: leave the axis out for its default")
    return items


def _counted(given: Mapping[str, object]) -> range:
    for key, number in given.items():
        if key not in ("from", "to", "step"):
            raise ValueError(str(unknown_name("key of a range", key, ("from", "to", "step"))))
        if type(number) is not int:
            raise ValueError(f"{key} is {number!r}; legal is an integer: try {{from: 12, to: 24, step: 2}}")
    if "to" not in given:
        raise ValueError("a range has 'from' but no 'to': try {from: 12, to: 24, step: 2}")
    first, last, step = given["from"], given["to"], given.get("step", 1)
    assert isinstance(first, int)
    assert isinstance(last, int)
    assert isinstance(step, int)
    if step < 1 or last < first:
        raise ValueError(f"range from {first} to {last} by {step} is empty: count upwards by 1 or more")
    return range(first, last + 1, step)


def _width(low: int, high: int, what: str, word: str | None = None) -> Any:
    def check(value: object) -> object:
        if value == word is not None:
            return value
        if type(value) is not int or not low <= value <= high:
            advice = "" if word is None else f"the word {word!r} is legal, too"
            raise ValueError(str(out_of_range(what, value, low, high, advice)))
        return value

    return BeforeValidator(check)


def one_of(what: str, legal: tuple[str, ...]) -> Any:
    """A value that is one of these; for another one the nearest is suggested."""

    def check(value: object) -> object:
        if value not in legal:
            raise ValueError(str(unknown_name(what, value, legal)))
        return value

    return BeforeValidator(check)


def _named_formats(value: object) -> object:
    """``kind=name,...`` in the order of the kinds, from a mapping; or ``method``."""
    if value == METHOD:
        return value
    from ptqsim.ptq.calibration.operand_rules import named_kinds, written_kinds

    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"formats are {value!r}; legal are {METHOD!r} and a mapping such as {{gelu: e3m4}}")
    return written_kinds(named_kinds(value))


def _unit(what: str) -> Any:
    """A formulation of a unit with its options, as a text or a mapping, in one form."""

    def check(value: object) -> object:
        from ptqsim.ptq.integer_only.options import IntegerOnly, read_unit, written_unit

        if not isinstance(value, str | Mapping):
            raise ValueError(f"{what} is {value!r}; legal is a name, a text such as NAME,OPTION=VALUE, or a mapping")
        try:
            given: Any = {what: read_unit(value) if isinstance(value, str) else value}
            return written_unit(getattr(IntegerOnly.of(**given), what))
        except TypeError as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(check)


def refuse_blocks(formats: str) -> None:
    """Refuse formats by kind, one of which is a block format, where products are summed in an accumulator."""
    from ptqsim.ptq.calibration.operand_rules import read_kinds

    if any(name in BLOCKS for name in read_kinds(formats).values()):
        raise ValueError(
            f"formats {formats!r} have blocks, which are summed in float32 and not in an accumulator; legal for them "
            "is acc_bits: exact, and no question about its width: name the others by a condition, such as formats == "
            f"{METHOD!r}"
        )


def _order(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f"order is {value!r}; legal are sequential, tree:LANES and split:TILE:INNER_BITS")
    parse_order(value)
    return value


def _flag(value: object) -> object:
    if not isinstance(value, bool):
        raise ValueError(f"the value of a switch is {value!r}; legal are true and false")
    return value


Spread = BeforeValidator(_spread)
Width = Annotated[int, _width(2, 16, "a width of codes")]
AccBits = Annotated[int | Literal["exact"], _width(MIN_REGISTER_BITS, MAX_REGISTER_BITS, "acc_bits", EXACT)]
Shift = Annotated[int | Literal["searched"], _width(0, MAX_SHIFT, "a shift", SEARCHED)]
Count = Annotated[int, _width(1, 10_000_000, "a number of images")]
Seed = Annotated[int, _width(0, MAX_SEED, "a seed")]
Mode = Annotated[str, one_of("mode", MODES)]
Overflow = Annotated[str, one_of("overflow mode", tuple(str(mode) for mode in OverflowMode))]
Aligned = Annotated[str, one_of("alignment", tuple(str(alignment) for alignment in Alignment))]
Order = Annotated[str, BeforeValidator(_order)]
Granular = Annotated[str, one_of("w_granularity", ("tensor", "channel"))]
Flag = Annotated[bool, BeforeValidator(_flag)]
Residual = Annotated[int, _width(4, 16, "residual_bits")]
ResidualRule = Annotated[str, one_of("residual_scale", (FREE, "power_of_two", "one"))]
SoftmaxUnit = Annotated[str, _unit("softmax")]
GeluUnit = Annotated[str, _unit("gelu")]
LayerNormUnit = Annotated[str, _unit("layer_norm")]
NamedFormats = Annotated[str, BeforeValidator(_named_formats)]
