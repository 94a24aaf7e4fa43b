"""Several models, each calibrated on several draws of its images: the input of tables that compare methods."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..framework.artifact import Table
from ..framework.workload import Workload, bundled_models


@dataclass(frozen=True)
class DrawnTable(Table):
    """A table over models and widths, each on several draws of calibration images.

    A seed draws the calibration images and whatever is random in a method.

    Attributes
    ----------
    models : tuple of str
        Every bundled one by default.
    widths : tuple of int
        Of weights and activations.
    seeds : tuple of int
        Draws of the calibration images.
    images : int
        Validation images.
    """

    models: tuple[str, ...] = field(default_factory=bundled_models)
    widths: tuple[int, ...] = (8, 6, 4)
    seeds: tuple[int, ...] = (0, 1, 2)
    images: int = 2000

    def key(self, workload: Workload) -> dict[str, Any]:
        """The options, and every model on every draw of calibration images."""
        options = json.loads(json.dumps(asdict(self)))
        return {"options": options, "workloads": [one.key() for one in self.workloads(workload)]}

    def workloads(self, workload: Workload) -> list[Workload]:
        """A workload for every model and draw."""
        return [replace(workload, model=model, seed=seed) for model in self.models for seed in self.seeds]
