"""Products of small floats and of blocks by other libraries, where they are installed: decoded, summed in float32."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq
from benchmarks.products.contenders import Contender

LIBRARIES: Final = ("ml_dtypes", "gfloat", "apytypes")
"""Libraries that are asked; those that are not installed are named in the report."""

Decoder = Callable[[NDArray[Any]], NDArray[np.float32]]


def missing() -> list[str]:
    """The libraries that cannot be asked here."""
    return [name for name in LIBRARIES if find_spec(name) is None]


def decoders() -> dict[str, Decoder]:
    """Codes of E4M3 into float32, by each library that can."""
    found: dict[str, Decoder] = {}
    if find_spec("ml_dtypes") is not None:
        dtype = import_module("ml_dtypes").float8_e4m3fn
        found["ml_dtypes"] = lambda codes: np.asarray(codes.view(dtype).astype(np.float32))
    if find_spec("gfloat") is not None:
        gfloat, formats = import_module("gfloat"), import_module("gfloat.formats")
        info = formats.format_info_ocp_e4m3
        found["gfloat"] = lambda codes: np.asarray(gfloat.decode_ndarray(info, codes)).astype(np.float32)
    return found


def float_peers(a: pq.QuantizedArray, b: pq.QuantizedArray) -> dict[str, Contender]:
    """Products of E4M3 codes with the left operand decoded in each call, in units of the formats' steps.

    Wrong are the outputs that are not the exact sum rounded to float32.
    """
    unit = a.format.step * b.format.step
    right = (np.matmul(a.aligned(), b.aligned()) * (unit / (a.format.scale * b.format.scale))).astype(np.float32)

    def check(result: NDArray[Any]) -> int:
        return int(np.count_nonzero(result != right))

    def of(decode: Decoder) -> Callable[[], NDArray[Any]]:
        w = decode(b.codes)
        return lambda: np.asarray(decode(a.codes) @ w)

    return {f"{name}, numpy float32": Contender(of(decode), check) for name, decode in decoders().items()}


def block_peers(a: pq.BlockArray, b: pq.BlockArray, right: NDArray[np.float32]) -> dict[str, Contender]:
    """Blocks of E4M3 decoded in each call on the left, times their scales, and summed by NumPy in float32."""

    def check(result: NDArray[Any]) -> int:
        return int(np.count_nonzero(result != right))

    def reals(decode: Decoder, array: pq.BlockArray) -> NDArray[np.float32]:
        scales = np.ldexp(np.float32(1.0), array.scales.astype(np.int32) - 127)[..., None]
        lines = (decode(array.codes) * scales).reshape(*array.scales.shape[:-1], -1)[..., : array.depth]
        return np.asarray(lines if array.axis == -1 else np.swapaxes(lines, -1, -2), np.float32)

    def of(decode: Decoder) -> Callable[[], NDArray[Any]]:
        w = reals(decode, b)
        return lambda: np.asarray(reals(decode, a) @ w)

    return {f"{name}, numpy float32": Contender(of(decode), check) for name, decode in decoders().items()}


def apyfloat(a: NDArray[np.float64], b: NDArray[np.float64]) -> Contender | None:
    """A product of APyFloat in an accumulator context of float32: one product after the other, rounded each time.

    None if the library is not installed. Wrong are the outputs that differ from that sum in NumPy.
    """
    if find_spec("apytypes") is None:
        return None
    apytypes: Any = import_module("apytypes")
    x, w = (apytypes.APyFloatArray.from_float(values, exp_bits=8, man_bits=23) for values in (a, b))
    right = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for k in range(a.shape[1]):
        right += (a[:, k, None] * b[k]).astype(np.float32)

    def call() -> NDArray[Any]:
        with apytypes.APyFloatAccumulatorContext(exp_bits=8, man_bits=23):
            return np.asarray((x @ w).to_numpy())

    return Contender(call, lambda result: int(np.count_nonzero(result != right)))
