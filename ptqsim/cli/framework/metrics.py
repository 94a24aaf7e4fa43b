"""Display of a network's metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SHOWN: Final = {
    "top1": ("top-1 (%)", ".2f"),
    "cross_entropy": ("cross-entropy", ".4f"),
    "kl": ("KL to float", ".4f"),
    "kl_standard_error": ("± s.e.", ".4f"),
    "agreement": ("as float predicts (%)", ".2f"),
    "cosine": ("cosine to float", ".6f"),
    "neighbor_agreement": ("same nearest neighbor (%)", ".2f"),
}


def metric_cells(metrics: Mapping[str, float]) -> tuple[list[str], list[str]]:
    """Headings and texts of metrics."""
    headings, cells = [], []
    for name, value in metrics.items():
        heading, form = _SHOWN.get(name, (name.replace("_", " "), ".2f"))
        headings.append(heading)
        cells.append(format(value, form))
    return headings, cells
