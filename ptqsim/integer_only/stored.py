"""Plans as plain data and arrays, for files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.formats import from_dict as format_from_dict
from ptqsim.formats.array import QuantizedArray
from ptqsim.integer_only.moves import move_from_plain, move_to_plain
from ptqsim.integer_only.plan import Plan
from ptqsim.integer_only.steps import Apply, Combine, Move, Product, Step, Total
from ptqsim.units.registry import from_dict as unit_from_dict

Arrays = dict[str, NDArray[Any]]


def plan_to_plain(plan: Plan) -> tuple[dict[str, Any], Arrays]:
    """A plan as data for a JSON file, and the arrays that the data names."""
    arrays: Arrays = {}
    header = {
        "steps": [_step_to_plain(step, arrays) for step in plan.steps],
        "image": list(plan.image),
        "mean": list(plan.mean),
        "std": list(plan.std),
        "logit_scale": plan.logit_scale,
    }
    return header, arrays


def plan_from_plain(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Plan:
    """The plan that `plan_to_plain` wrote.

    Raises
    ------
    ValueError
        If something is missing, or out of range.
    """
    try:
        steps = tuple(_step_from_plain(step, arrays) for step in header["steps"])
        c, h, w = header["image"]
        return Plan(steps, (c, h, w), tuple(header["mean"]), tuple(header["std"]), float(header["logit_scale"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"the integer-only network of a file can't be read ({error}): make the file anew") from None


def _step_to_plain(step: Step, arrays: Arrays) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": step.kind, "name": step.name}
    if isinstance(step, Product):
        data |= {"left": step.left, "right": step.right, "transposed": step.transposed, "weights": []}
        for group, weights in enumerate(step.weights):
            key, fmt = f"weights/{step.name}/{group}", weights.format.to_dict()
            arrays[key] = np.frombuffer(weights.pack(), np.uint8)
            if weights.format.axis is not None:
                fmt["scale"] = f"scales/{step.name}/{group}"
                arrays[fmt["scale"]] = np.asarray(weights.format.scale, np.float64)
            data["weights"].append({"codes": key, "shape": list(weights.shape), "format": fmt})
    elif isinstance(step, Apply):
        data |= {"sources": list(step.sources), "units": [unit.to_dict() for unit in step.units]}
    elif isinstance(step, Combine):
        key = f"constants/{step.name}"
        arrays[key] = np.ascontiguousarray(step.constant)
        factors = [list(one) for one in step.multipliers]
        data |= {"sources": list(step.sources), "multipliers": factors, "constant": key, "scale": step.scale}
    elif isinstance(step, Total):
        data |= {"source": step.source, "axis": step.axis}
    else:
        data |= {"source": step.source, "moves": [move_to_plain(move) for move in step.moves]}
    return data


def _step_from_plain(data: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Step:
    kind, name = data["kind"], data["name"]
    if kind == Product.kind:
        weights = tuple(_weights(one, arrays) for one in data["weights"])
        return Product(name, data["left"], data["right"], weights, bool(data["transposed"]))
    if kind == Apply.kind:
        return Apply(name, tuple(data["sources"]), tuple(unit_from_dict(unit) for unit in data["units"]))
    if kind == Combine.kind:
        factors = tuple(tuple(int(m) for m in one) for one in data["multipliers"])
        constant = np.asarray(arrays[data["constant"]], np.int64)
        return Combine(name, tuple(data["sources"]), factors, constant, data["scale"])
    if kind == Total.kind:
        return Total(name, data["source"], int(data["axis"]))
    if kind == Move.kind:
        return Move(name, data["source"], tuple(move_from_plain(move) for move in data["moves"]))
    raise ValueError(f"a file has a step of kind {kind!r}, which this ptqsim does not know: make the file anew")


def _weights(data: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> QuantizedArray:
    fmt = data["format"]
    fmt = {**fmt, "scale": arrays[fmt["scale"]]} if "axis" in fmt else fmt
    packed = np.asarray(arrays[data["codes"]], np.uint8).tobytes()
    return QuantizedArray.from_packed(packed, format_from_dict(fmt), tuple(data["shape"]))
