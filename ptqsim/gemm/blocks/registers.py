"""Final values of the registers of a product of blocks, by the fastest kernel that is proven exact."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.blocks.registers import AlignedFloat32, Cut, FixedPoint
from ptqsim.datapath.order import MAX_REGISTER_BITS
from ptqsim.datapath.spec import OverflowMode
from ptqsim.gemm.blocks.certificates import Evidence, evidence, in_floats
from ptqsim.gemm.blocks.product import FLOAT32, FLOAT64, BlockProduct, Float
from ptqsim.gemm.exact import all_tiles, grain, wrapped
from ptqsim.gemm.results.result import Certificate
from ptqsim.kernels.blocks import floats, integers
from ptqsim.kernels.runtime import threads as _threads

_WORD_BITS = 62  # of sums that are added in int64 without any limit


class Held(NamedTuple):
    """Registers [batch, M, N], int64 or float32; events of each, int32, if counted; the kernel, and why it may run."""

    acc: NDArray[Any]
    events: NDArray[np.int32] | None
    kernel: str
    certificate: Certificate
    exact: bool | None


def of_float32(product: BlockProduct) -> Held:
    """Values rounded to float32 and added in it."""
    out = np.empty(product.shape, np.float32)
    chosen = _lanes(product)
    if chosen is None:
        _run(integers.float32_tiles, product, *product.integers(), out)
        return Held(out, None, "float32_integers", in_floats(product, None), None)
    _run(floats.float32_tiles, product, *product.lanes(chosen.dtype), *product.factors(chosen.dtype), out)
    return Held(out, None, f"float32_{_name(chosen, product)}", in_floats(product, chosen.dtype), None)


def of_aligned(product: BlockProduct, register: AlignedFloat32) -> Held:
    """Values aligned in groups."""
    out = np.empty(product.shape, np.float32)
    arguments = (*product.integers(), register.fraction_bits, register.blocks, out)
    _run(integers.aligned_tiles, product, *arguments)
    return Held(out, None, "aligned_integers", in_floats(product, None), None)


def of_fixed(product: BlockProduct, register: FixedPoint, counting: bool) -> Held:
    """Values on the grid of a fixed-point register."""
    found = evidence(product, register, counting)
    wraps, half_even = register.overflow == OverflowMode.WRAP, register.rounding == Cut.HALF_EVEN
    counts = counting and not found.certified
    events = np.zeros(product.shape, np.int32) if counts else None
    acc = np.empty(product.shape, np.int64)
    largest = found.largest(register)
    chosen = next((lanes for lanes in (FLOAT32, FLOAT64) if _holds(lanes, product, register, found)), None)
    if chosen is None or (wraps and found.steps):
        how = integers.WRAP if wraps else integers.SATURATE
        options = (register.weight, half_even, register.bits, acc, counts, _counts(events), 1, _nothing_found())
        _run(integers.fixed_tiles, product, *product.integers(), how, *options)
        return Held(acc, events, f"{'wrap' if wraps else 'saturate'}_integers", found.certificate, found.exact)
    low, high = (-largest, largest - 1 if found.steps else largest)
    limits = chosen.dtype(low), chosen.dtype(high)
    given = (*product.lanes(chosen.dtype), *product.factors(chosen.dtype, register.weight))
    _run(floats.saturating_tiles, product, *given, half_even, *limits, acc, counts, _counts(events))
    kernel = f"{'wrap' if wraps else 'saturate'}_{_name(chosen, product)}"
    if wraps and not found.certified:
        acc = wrapped(acc, register.bits)
    return Held(acc, events, kernel, found.certificate, found.exact)


class Unbounded(NamedTuple):
    """Final values of registers without limits, int64 [batch, M, N], and the least and greatest on the way."""

    acc: NDArray[np.int64]
    lowest: int
    highest: int


def unbounded(product: BlockProduct, weight: int, rounding: Cut) -> Unbounded | None:
    """Exact sums of the terms of every output, and the range of their prefixes; None if a word could not hold them."""
    if product.bound(weight) >= 1 << _WORD_BITS:
        return None
    unit = _threads.unit(grain(product.product))
    found = np.zeros((-(-math.prod(product.product.tiles) // unit), 2), np.int64)
    acc = np.zeros(product.shape, np.int64)
    options = (weight, rounding == Cut.HALF_EVEN, MAX_REGISTER_BITS, acc, False, _counts(None), unit, found)
    _run(integers.fixed_tiles, product, *product.integers(), integers.PREFIXES, *options)
    return Unbounded(acc, int(found[:, 0].min(initial=0)), int(found[:, 1].max(initial=0)))


def _lanes(product: BlockProduct) -> Float | None:
    """The narrowest float type in which every value is rounded once."""
    return next((lanes for lanes in (FLOAT32, FLOAT64) if product.is_exact_in(lanes, None)), None)


def _holds(lanes: Float, product: BlockProduct, register: FixedPoint, found: Evidence) -> bool:
    """True if a register can be held in a float type, whose sums beyond its limits may be rounded but are told apart.

    With limits of half of what is exact, a sum that is just beyond them is exact still.
    """
    room = lanes.bits - 1 if found.steps else lanes.bits
    return found.largest(register) <= 1 << room and product.is_exact_in(lanes, register.weight)


def _name(lanes: Float, product: BlockProduct) -> str:
    own = np.dtype(lanes.dtype).name
    return own if product.lanes(lanes.dtype).strips.dtype == lanes.dtype else f"{own}_dot_int16"


def _nothing_found() -> NDArray[np.int64]:
    return np.zeros((0, 2), np.int64)


def _counts(events: NDArray[np.int32] | None) -> NDArray[np.int32]:
    return np.zeros((0, 0, 0), np.int32) if events is None else events


def _run(kernel: Any, product: BlockProduct, *arguments: Any) -> None:
    if not math.prod(product.shape):
        return
    tiles = all_tiles(product.product.tiles)
    _threads.run(kernel, len(tiles), grain(product.product), tiles, product.product.pairs, *arguments)
