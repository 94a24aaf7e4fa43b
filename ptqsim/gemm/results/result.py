"""The result of a product, with the reason why it can be trusted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.statistics import OverflowStatistics
from ptqsim.errors import ArgumentTypeError
from ptqsim.kernels.matmul import convert
from ptqsim.kernels.runtime import threads as _threads
from ptqsim.kernels.runtime.environment import in_default_environment

_FLOAT32_MAX = float(np.finfo(np.float32).max)

_FEW = 1 << 12
"""Accumulators below which the call of a kernel takes longer than its work."""

_LARGEST_SCALE = _FLOAT32_MAX / 2.0**63
"""With it every accumulator is within float32."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Evidence that the kernel that was used gives the same bits as the datapath.

    Parameters
    ----------
    name : str
        The bound or theorem that was used.
    bits : int
        Width of a register that this bound proves sufficient.
    certified : int
        Number of output elements that cannot overflow, by this bound.
    outputs : int
        Number of output elements.
    why : str
        The reason in words, with its numbers.
    """

    name: str
    bits: int
    certified: int
    outputs: int
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


class MatmulResult:
    """A product in units of ``scale`` (steps_a * steps_b).

    Attributes
    ----------
    acc : int64 array
        int64 [..., M, N], the final values of the accumulators. The caller may change them; everything else refers to
        the original values.
    scale : float or float64 array
        Real value of one unit of `acc`; of operands with scales per channel an array that broadcasts against `acc`:
        [N], [M, 1] or [M, N].
    overflow : OverflowStatistics or None
        `OverflowStatistics`, or None if statistics were switched off.
    kernel : str
        Name of the kernel that ran.
    certificate : Certificate
        Why this kernel gives the same bits as adding one product after the other.
    """

    def __init__(
        self,
        acc: NDArray[np.int64],
        scale: Any,
        overflow: OverflowStatistics | None,
        kernel: str,
        certificate: Certificate,
        exact: bool | Callable[[], bool],
    ) -> None:
        self.acc = acc
        self.scale = scale
        self.overflow = overflow
        self.kernel = kernel
        self.certificate = certificate
        self._exact = exact

    @cached_property
    def exact(self) -> bool:
        """True if every output equals the result in unbounded integers; computed on first use if not yet known."""
        return self._exact if isinstance(self._exact, bool) else self._exact()

    @in_default_environment
    def dequantize(
        self, out: NDArray[np.float32] | None = None, scales: Sequence[float] | NDArray[np.float64] | None = None
    ) -> NDArray[Any]:
        """The product as real numbers, float64: acc * scale.

        Parameters
        ----------
        out : float32 array [..., M, N], optional
            C-contiguous; the reals are put into it, rounded from float64.
        scales : sequence of float or float64 array, optional
            In place of `scale`, for operands that differ in nothing else: one for each index of the first axis, or an
            array of two dimensions or more that broadcasts against `acc`.

        Returns
        -------
        float64 array [..., M, N], or `out`

        Raises
        ------
        TypeError
            If `out` is no float32 array.
        ValueError
            If `out` is of another shape or not contiguous, `scales` are of another number, a scale (such as the product
            of those of both formats) is no normal float64, or a real is beyond float32.
        """
        units = self._units(scales)
        if out is None:
            reals = np.empty(self.acc.shape)
            if units.size <= 1 or self.acc.size < _FEW:
                return np.multiply(self.acc, units, out=reals)
            _to_reals(self.acc, units, reals)  # NumPy takes longer for one scale per column than for one in all
            return reals
        legal = f"out must be a C-contiguous array of float32 and of shape {self.acc.shape}"
        if not isinstance(out, np.ndarray):
            raise ArgumentTypeError(f"{legal}, got a {type(out).__name__}; without it the reals come as float64")
        got = f"got {out.dtype} of shape {out.shape}; without it the reals come as float64"
        if out.dtype != np.float32:
            raise ArgumentTypeError(f"{legal}, {got}")
        if not (out.shape == self.acc.shape and out.flags.c_contiguous):
            raise ValueError(f"{legal}, {got}")
        if out.size:
            _to_reals(self.acc, units, out)
        if units.max(initial=0.0) > _LARGEST_SCALE and not np.isfinite(out).all():
            raise ValueError(f"some reals are beyond {_FLOAT32_MAX:.3g}, the largest float32; take them as float64")
        return out

    def _units(self, scales: Sequence[float] | NDArray[np.float64] | None) -> NDArray[np.float64]:
        """The real values of one unit, as an array that broadcasts against `acc`."""
        units = np.asarray(self.scale if scales is None else scales, np.float64)
        if scales is not None and units.ndim == 1:
            if len(units) != len(self.acc):
                raise ValueError(
                    f"one scale is needed for each of {len(self.acc)} along the first axis, got {len(units)}"
                )
            units = units.reshape(-1, *[1] * (self.acc.ndim - 1))
        wrong = ~((units >= sys.float_info.min) & (units <= sys.float_info.max))
        if wrong.any():
            raise ValueError(
                f"one unit of the product is {float(units[wrong][0])!r}, outside the normal range of float64 "
                f"({sys.float_info.min:.3g} to {sys.float_info.max:.3g}); give formats whose scales are nearer to 1"
            )
        return units

    def real(
        self, out: NDArray[np.float32] | None = None, scales: Sequence[float] | NDArray[np.float64] | None = None
    ) -> NDArray[Any]:
        """Alias of `dequantize`."""
        return self.dequantize(out, scales)

    def __getstate__(self) -> dict[str, object]:
        """State for pickling. Pending statistics are computed first, as operands are not pickled."""
        return {**self.__dict__, "_exact": self.exact}

    def __repr__(self) -> str:
        scale = f"{self.scale:.6g}" if np.ndim(self.scale) == 0 else f"an array of shape {self.scale.shape}"
        return (
            f"MatmulResult(acc={self.acc.shape}, scale={scale}, kernel={self.kernel!r}, "
            f"certificate={str(self.certificate)!r}, overflow={self.overflow})"
        )


def _to_reals(acc: NDArray[np.int64], units: NDArray[np.float64], out: NDArray[Any]) -> None:
    """Put acc * units into `out`, float32 or float64, each product taken in float64 and rounded once."""
    columns = acc.shape[-1] if acc.ndim else 1
    if units.size == 1 or units.shape == (len(acc), *[1] * (acc.ndim - 1)):
        each, length = units.reshape(-1), out.size // units.size
    elif units.shape[-1] == 1:
        each, length = np.ascontiguousarray(np.broadcast_to(units, (*acc.shape[:-1], 1))).reshape(-1), columns
    elif units.size == columns or (units.shape[1:-1] == (1,) * (units.ndim - 2) and units.ndim == acc.ndim):
        tables = units.reshape(-1, columns)
        rows = acc.reshape(-1, columns), tables, out.size // (columns * len(tables)), out.reshape(-1, columns)
        _threads.run(convert.to_reals_by_column, out.size // columns, 1 + _threads.GRAIN // columns, *rows)
        return
    else:
        np.multiply(acc, units, out=out, dtype=np.float64, casting="same_kind")
        return
    _threads.run(convert.to_reals, out.size, _threads.GRAIN, acc.reshape(-1), each, length, out.reshape(-1))
