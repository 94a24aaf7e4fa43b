"""From axes to points: the product of the values, each condition tried as soon as its axes are bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from ptqsim.sweep.study.axis_values import EXACT, refuse_blocks
from ptqsim.sweep.study.definition import AXES, Axes, Study
from ptqsim.sweep.study.expression import Condition
from ptqsim.sweep.study.point import FLOAT, INTEGER, INTEGER_ONLY, UNITS, Calibration, Datapath, Point


def expand(study: Study) -> list[Point]:
    """Every point of the grid, each once; those of one calibration one after the other, as its axes are the first ones.

    Raises
    ------
    ValueError
        If the conditions leave none, or compare what has no order.
    """
    found: dict[Point, None] = {}
    for values in combinations(axis_values(study.axes), list(study.conditions())):
        found[point_of(values)] = None
    if not found:
        raise ValueError("no point meets all conditions of the study: drop one of require and exclude")
    return list(found)


def axis_values(axes: Axes) -> dict[str, Sequence[Any]]:
    """The values of every axis, models and methods by what they are called."""
    return {name: [getattr(value, "called", value) for value in getattr(axes, name)] for name in AXES}


def combinations(axes: Mapping[str, Sequence[Any]], conditions: Sequence[Condition]) -> Iterator[dict[str, Any]]:
    """Every combination that meets all conditions; the mapping is reused, so copy what is kept of it."""
    names = list(axes)
    tests: list[list[Callable[[Mapping[str, Any]], bool]]] = [[] for _ in names]
    values: dict[str, Any] = {}
    for condition in conditions:
        if not condition.names:
            if not condition.holds(values):
                return
            continue
        tests[max(names.index(name) for name in condition.names)].append(condition.holds)

    def bind(depth: int) -> Iterator[dict[str, Any]]:
        if depth == len(names):
            yield values
            return
        name, wanted = names[depth], tests[depth]
        for value in axes[name]:
            values[name] = value
            if all(test(values) for test in wanted):
                yield from bind(depth + 1)

    yield from bind(0)


def point_of(values: Mapping[str, Any]) -> Point:
    """The point of one combination, without what can't change its result."""
    mode, images = values["mode"], values["evaluation_images"]
    if mode == FLOAT:
        return Point(values["model"], None, Datapath(FLOAT), images)
    datapath = shifted_of(values)
    if mode == INTEGER_ONLY and datapath != Datapath():
        raise ValueError(
            f"mode {INTEGER_ONLY} was combined with a shift, and its codes are fixed together with its units: "
            f'exclude mode == "{INTEGER_ONLY}" and softmax_shift != "searched", or gelu_shift, or leave the shifts out'
        )
    if mode not in (INTEGER, INTEGER_ONLY):
        datapath = _on(datapath, mode, None, None, None, None)
    elif values["acc_bits"] == EXACT:
        datapath = _on(datapath, mode, None, None, None, values["alignment"])
    else:
        refuse_blocks(values["formats"])
        register = (values[name] for name in ("acc_bits", "overflow", "order", "alignment"))
        datapath = _on(datapath, mode, *register)
    return Point(values["model"], calibration_of(values), datapath, images)


def shifted_of(values: Mapping[str, Any]) -> Datapath:
    """A datapath with the shifts of one combination; its other fields have their defaults."""
    return _shifted(values["softmax_shift"], values["gelu_shift"])


def calibration_of(values: Mapping[str, Any]) -> Calibration:
    """The calibration of one combination."""
    return _calibration(
        values["model"],
        values["method"],
        values["w_bits"],
        values["a_bits"],
        values["seed"],
        values["calibration_images"],
        values["w_granularity"],
        values["a_symmetric"],
        values["formats"],
        *(values[name] if values.get("mode") == INTEGER_ONLY else None for name in UNITS),
    )


# Thousands of points share a calibration, and as many a datapath: each is made once.
_calibration = lru_cache(maxsize=1024)(Calibration)


@lru_cache(maxsize=1024)
def _shifted(softmax: int | str, gelu: int | str) -> Datapath:
    return Datapath(
        softmax_shift=None if isinstance(softmax, str) else softmax, gelu_shift=None if isinstance(gelu, str) else gelu
    )


@lru_cache(maxsize=65536)
def _on(
    shifted: Datapath, mode: str, acc_bits: int | None, overflow: str | None, order: str | None, alignment: str | None
) -> Datapath:
    return replace(shifted, mode=mode, acc_bits=acc_bits, overflow=overflow, order=order, alignment=alignment)
