"""The sums over a quantized output that objectives are made of.

On the CPU they are taken in one pass over memory, in float64.  Elsewhere, and for types that nothing is compiled for,
torch sums rows in the dtype of the data, and what they give in float64.  The number of threads changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ptqsim.kernels.calibration import sums
from ptqsim.kernels.runtime import threads as _threads

UnitSums = NDArray[np.float64]
"""[number of sums, G, units]."""

SumsOf = Callable[[torch.Tensor], UnitSums]
"""From an output to its sums."""

_NOTHING: Final = np.empty((0, 0), np.float32)


def moments(y: torch.Tensor | None, z: torch.Tensor, units: int) -> SumsOf:
    """Function that returns the sums of d, d^2 and d z over each unit of an x, where d is x - y, or x without a y.

    Parameters
    ----------
    y, z : float tensor [G, ...]
        Of the shape that x will have, whose rest has the units one after the other.
    units : int
        Into which each group is cut.

    Returns
    -------
    callable
        From x to float64 [3, G, units].
    """
    if is_plain(z):
        return _in_one_pass(sums.moments, 3, y, z, units)

    unit, z_unit = _power_of_two(z if y is None else y), _power_of_two(z)
    scaled_z = z / z_unit

    def in_turn(x: torch.Tensor) -> UnitSums:
        d = (x if y is None else x - y) / unit
        total, square, product = _summed((d, d.square(), d * scaled_z), units)
        return np.stack((total * unit, square * unit**2, product * unit * z_unit))

    return in_turn


def weighted_squares(y: torch.Tensor, z: torch.Tensor, units: int) -> SumsOf:
    """Function that returns the sums of ((x - y) z)^2 over each unit of x, float64 [1, G, units]; the rest as above."""
    if is_plain(z):
        return _in_one_pass(sums.weighted_squares, 1, y, z, units)
    unit, z_unit = _power_of_two(y), _power_of_two(z)
    scaled_z = z / z_unit
    return lambda x: _summed((((x - y) / unit * scaled_z).square(),), units) * (unit * z_unit) ** 2


def is_plain(x: torch.Tensor) -> bool:
    """True if NumPy can access the memory and there is compiled code for the type."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not x.requires_grad


def _in_one_pass(
    kernel: Callable[..., object], count: int, y: torch.Tensor | None, z: torch.Tensor, units: int
) -> SumsOf:
    groups = len(z)
    rows = groups * units
    grain = 1 + _threads.GRAIN * rows // max(z.numel(), 1)

    def flat(x: torch.Tensor) -> NDArray[np.float32]:
        values: NDArray[np.float32] = x.numpy().reshape(rows, -1)
        return np.ascontiguousarray(values)

    fixed = (_NOTHING if y is None else flat(y), flat(z))

    def run(x: torch.Tensor) -> UnitSums:
        out = np.empty((count, rows))
        _threads.run(kernel, rows, grain, flat(x), *fixed, out)
        return out.reshape(count, groups, units)

    return run


def _power_of_two(x: torch.Tensor) -> float:
    """The magnitude of x: what is divided by it keeps its digits, and its squares neither overflow nor underflow."""
    top = float(x.abs().max()) if x.numel() else 0.0
    if not 0 < top < math.inf:
        return 1.0
    return math.ldexp(1.0, max(-126, min(127, math.frexp(top)[1])))


def _summed(terms: tuple[torch.Tensor, ...], units: int) -> UnitSums:
    rows = [t.sum(dim=-1).reshape(len(t), units, -1).sum(dim=-1, dtype=torch.float64) for t in terms]
    found: UnitSums = torch.stack(rows).cpu().numpy()
    return found
