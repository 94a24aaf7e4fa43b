"""Other people's products of the same operands, where their libraries are installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq
from benchmarks.products.contenders import Contender
from benchmarks.products.shapes import Shape


def exact_peers(
    shape: Shape, a: pq.QuantizedArray, b: pq.QuantizedArray, right: NDArray[np.int64]
) -> dict[str, Contender]:
    """Products without an accumulator: numpy in two more types, torch in float32 and in int8."""
    left_values, right_values = a.aligned(), b.aligned()

    def check(result: Any) -> int:
        return int(np.count_nonzero(np.asarray(result) != right))

    def of_numpy(dtype: Any) -> Callable[[], Any]:
        x, w = left_values.astype(dtype), right_values.astype(dtype)
        return lambda: x @ w

    found = {
        "numpy float64": Contender(of_numpy(np.float64), check),
        "numpy int64": Contender(of_numpy(np.int64), check),
    }
    if find_spec("torch") is None:
        return found
    import torch

    torch.set_num_threads(1)
    x, w = (torch.from_numpy(values.astype(np.float32)) for values in (left_values, right_values))
    found["torch float32"] = Contender(lambda: x @ w, check)
    if not shape.attention:  # torch._int_mm takes no batch
        xi, wi = (torch.from_numpy(values.astype(np.int8)) for values in (left_values, right_values))
        found["torch._int_mm"] = Contender(lambda: torch._int_mm(xi, wi), check)
    return found
