"""The detector that a figure of detection is made from."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..framework.artifact import kind_of
from ..framework.workload import Workload

DETECTOR: Final = "detr_digits"


def of_detector(workload: Workload) -> Workload:
    """The workload itself if its model is a detector, else one like it of the bundled detector on its own data."""
    if kind_of(workload.model) == "detector":
        return workload
    return replace(workload, model=DETECTOR, data="digits", pretrained=False, checkpoint=None, options={})
