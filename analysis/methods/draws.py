"""Several models, each calibrated on several draws of its images: the input of tables that compare methods."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from ..framework.artifact import Table
from ..framework.workload import Workload


def on_every_draw(workload: Workload, models: Iterable[str], seeds: Sequence[int]) -> list[Workload]:
    """A workload for every model and seed; a seed draws the calibration images and whatever is random in a method."""
    return [replace(workload, model=model, seed=seed) for model in models for seed in seeds]


def key_of(table: Table, workloads: Iterable[Workload]) -> dict[str, Any]:
    """Everything that decides the data of a table over several workloads: its options, and each of them."""
    options = json.loads(json.dumps(asdict(table)))
    return {"options": options, "workloads": [one.key() for one in workloads]}
