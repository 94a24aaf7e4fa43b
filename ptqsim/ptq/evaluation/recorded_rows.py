"""Rows of integers that meet a unit of an integer-only network, for golden vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ptqsim.errors import unknown_name
from ptqsim.integer_only import Apply, execute
from ptqsim.integer_only.execution import integers_of
from ptqsim.integer_only.steps import Step
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.units import Unit


def record_rows(
    quantized: QuantizedModel, images: torch.Tensor, name: str, group: int = 0
) -> tuple[Unit, tuple[NDArray[np.int64], ...]]:
    """A unit of a network, and all rows of its inputs on some images.

    Parameters
    ----------
    quantized : QuantizedModel
        With an integer-only network.
    images : uint8 tensor [N, C, H, W]
        Pixels.
    name : str
        Step of the plan, such as ``blocks.0.norm1``.
    group : int, optional
        Which of its units, where it has one for each head.

    Returns
    -------
    unit : Unit
    inputs : tuple of int64 array [R, n]
        One for each input of the unit.

    Raises
    ------
    ValueError
        If there is no such step, or it has no such unit.
    """
    plan = quantized.required_plan()
    steps = {step.name: step for step in plan.steps if isinstance(step, Apply)}
    if name not in steps:
        raise unknown_name("unit of the network", name, steps)
    units = steps[name].units
    if not 0 <= group < len(units):
        raise ValueError(f"{name} has {len(units)} units, got group {group}; legal is 0 to {len(units) - 1}")
    found: list[NDArray[np.int64]] = []

    def look(step: Step, values: Mapping[str, NDArray[Any]], made: NDArray[Any]) -> None:
        if step is steps[name]:
            for source in step.sources:
                integers = np.asarray(integers_of(values[source], plan.edges[source]), np.int64)
                chosen = integers if len(units) == 1 else integers[:, group]
                found.append(np.ascontiguousarray(chosen).reshape(-1, chosen.shape[-1]))

    execute(plan, plan.checked_images(images.cpu().numpy()), dict(quantized.accumulators), look)
    return units[group], tuple(found)
