"""Activation functions that have an integer unit, and the formats of their pre-activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

import ptqsim as pq
from ptqsim import units
from ptqsim.formats.base import NumberFormat

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_FUNCTIONS: Final[dict[type[units.Activation], Callable[[torch.Tensor], torch.Tensor]]] = {
    units.GELU: F.gelu,
    units.SiLU: F.silu,
    units.QuickGELU: lambda x: x * torch.sigmoid(1.702 * x),
    units.ReLU: F.relu,
}

_OF_TIMM: Final = {"GELU": units.GELU, "QuickGELU": units.QuickGELU, "Swish": units.SiLU}


def is_activation(module: nn.Module) -> bool:
    """True for a module that is an activation function with an integer unit."""
    return unit_of(module) is not None


def unit_of(module: nn.Module) -> type[units.Activation] | None:
    """The unit of an activation function; None for other modules, also for approximations that have none."""
    if type(module) is nn.GELU:
        return units.GELU if module.approximate == "none" else None
    if type(module) is nn.SiLU:
        return units.SiLU
    if type(module) is nn.ReLU:
        return units.ReLU
    if type(module).__module__.startswith("timm.layers.activations"):
        return _OF_TIMM.get(type(module).__name__)
    return None


def index_format(
    kind: type[units.Activation], sample: NDArray[np.float64], out: NumberFormat, bits: int, uniform: bool
) -> NumberFormat:
    """The pre-activation format with the least square error of the function's output.

    Parameters
    ----------
    kind : type of Activation
        Function.
    sample : float64 array
        Pre-activations.
    out : NumberFormat
        Format of the output.
    bits : int
        Width of a pre-activation code.
    uniform : bool
        Whether only formats of one scale are tried; else also those with a scale of each sign.

    Notes
    -----
    The error is that of the output as it is stored, against the real function: where the function is flat, or the
    output's range ends, the input's precision does not count.
    """

    def function(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return _FUNCTIONS[kind](torch.from_numpy(np.ascontiguousarray(x))).numpy()

    exact = function(sample)
    positive, negative = max(float(sample.max()), 1e-6), max(float(-sample.min()), 1e-6)
    top = (1 << (bits - 1)) - 1
    candidates: list[NumberFormat] = []
    shrink = np.linspace(0.2, 1.0, 33)
    for factor in shrink:
        # Below -6 or so GELU is zero to any format's precision, so that only part of the negative range is needed.
        span = factor * max(positive, min(negative, 6.0))
        candidates.append(pq.Uniform(bits, span / top))
        if not uniform and bits > 2:
            candidates += [pq.TwinGELU(bits, shift, factor * positive / top / 2**shift) for shift in range(5)]
    errors = [_error(function, sample, exact, fmt, out) for fmt in candidates]
    return candidates[int(np.argmin(errors))]


def _error(
    function: Function, sample: NDArray[np.float64], exact: NDArray[np.float64], fmt: Any, out: NumberFormat
) -> float:
    table = out.decode(out.encode(function(fmt.decode(np.arange(1 << fmt.storage_bits)))))
    return float(np.mean((table[fmt.encode(sample)] - exact) ** 2))
