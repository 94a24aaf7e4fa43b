"""The activations that twin formats are made for: post-softmax and post-GELU values of a chosen block."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from .workload import Workload

Special = Literal["softmax", "gelu"]

TITLES: Final[dict[str, str]] = {"softmax": "Post-softmax", "gelu": "Post-GELU"}


def special_layer(workload: Workload, kind: Special, block: int | None = None) -> str:
    """Name of the operation whose left operand is post-softmax or post-GELU, counted over the network.

    Parameters
    ----------
    workload : Workload
    kind : {"softmax", "gelu"}
    block : int, optional
        Which of them, from 0; the middle one if not given.

    Raises
    ------
    ValueError
        If there is no such block.
    """
    names = [name for name, layer in workload.operations.items() if layer.a_kind == kind]
    index = len(names) // 2 if block is None else block
    if not 0 <= index < len(names):
        raise ValueError(
            f"{TITLES[kind].lower()} values of block {index} were asked for; the model has them in blocks 0 to "
            f"{len(names) - 1}: choose one of these"
        )
    return names[index]


def special_values(workload: Workload, kind: Special, block: int | None = None) -> NDArray[np.float32]:
    """All post-softmax or post-GELU values of a block on the calibration images, flat."""
    values: NDArray[np.float32] = workload.captured[special_layer(workload, kind, block)].a.flatten().numpy()
    return values


def histogram(values: NDArray[np.float32], low: float, high: float, bins: int) -> dict[str, NDArray[np.float64]]:
    """Columns ``left``, ``right``, ``count`` and ``share`` (of all values) of equally wide bins over [low, high]."""
    count, edges = np.histogram(values.astype(np.float64), bins=bins, range=(low, high))
    return {"left": edges[:-1], "right": edges[1:], "count": count, "share": count / len(values)}
