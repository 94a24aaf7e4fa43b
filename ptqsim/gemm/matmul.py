"""Matrix products of codes on a P-bit accumulator: validate, bound, choose a kernel, run, report."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product as pairs_of

import numpy as np

from ptqsim.datapath import bounds
from ptqsim.datapath.spec import MAX_REGISTER_BITS, Accumulator, Alignment
from ptqsim.formats.array import QuantizedArray
from ptqsim.gemm import operands, report
from ptqsim.gemm.accumulation import accumulate
from ptqsim.gemm.product import Product
from ptqsim.gemm.result import MatmulResult


def matmul(a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator, statistics: bool = True) -> MatmulResult:
    """The matrix product of two quantized arrays, as a datapath with this accumulator gives it.

    out[i, j] = accumulate over l of aligned_a[i, l] * aligned_b[l, j], in units of a.format.scale * b.format.scale.

    Parameters
    ----------
    a
        [..., M, K], in a shift-alignable format.
    b
        [..., K, N], likewise. Leading dimensions broadcast as in numpy; nothing is copied for it, and neither array has
        to be contiguous.
    accumulator
        Register width, overflow mode, order and alignment.
    statistics
        Whether to report overflow events. Switched off they cost nothing. Widths (`overflow.bits_needed`) are computed
        when they are asked for, so the result keeps the operands alive.

    Returns
    -------
    MatmulResult
        ``acc`` int64 [..., M, N]; the same bits on every machine and for any number of threads.

    Raises
    ------
    AccumulatorOverflowError
        Under ``trap``, if a register overflows.
    ValueError
        If shapes do not fit, a format is not shift-alignable, or the exact result could need more than 63 bits.
    """
    lead = _checked_lead(a, b, accumulator)
    registers = [
        (accumulate(product, accumulator, statistics), shift) for product, shift in _registers(a, b, accumulator)
    ]
    return report.combined(a, b, accumulator, registers, (*lead, a.shape[-2], b.shape[-1]), statistics)


def _registers(a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator) -> Iterator[tuple[Product, int]]:
    """Every register of the datapath: the product that it accumulates, and how far it is shifted at the end."""
    if accumulator.alignment != Alignment.DEFERRED:
        # Shifting the product or the operand before it gives the same exact product (Eq. 5): one path for both.
        yield Product(operands.left(a), operands.right(b)), 0
        return
    ranges = pairs_of(enumerate(a.format.ranges()), enumerate(b.format.ranges()))
    for (i, a_range), (j, b_range) in ranges:
        yield Product(operands.left(a, i), operands.right(b, j)), a_range.shift + b_range.shift


def _checked_lead(a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator) -> tuple[int, ...]:
    for name, array in (("a", a), ("b", b)):
        if not isinstance(array, QuantizedArray):
            raise ValueError(
                f"{name} must be a QuantizedArray, got {type(array).__name__}; make one with "
                "ptqsim.quantize(real, format) or ptqsim.QuantizedArray(codes, format)"
            )
        if array.ndim < 2:
            raise ValueError(f"{name} must have two dimensions or more, got the shape {array.shape}")
    if not isinstance(accumulator, Accumulator):
        raise ValueError(f"accumulator must be an Accumulator, got {accumulator!r}")
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(
            f"a {a.shape} and b {b.shape} do not fit: a is [..., M, K] and b [..., K, N], and K is "
            f"{a.shape[-1]} in a but {b.shape[-2]} in b"
        )
    lead = a.shape[:-2]
    try:
        if lead != b.shape[:-2]:
            lead = np.broadcast_shapes(lead, b.shape[:-2])
    except ValueError:
        raise ValueError(f"leading dimensions of a {a.shape} and b {b.shape} do not broadcast") from None
    bits = bounds.result_bits(a.format, b.format, a.shape[-1], accumulator)
    if bits > MAX_REGISTER_BITS:
        raise ValueError(
            f"the exact result of {a.format} times {b.format} at depth {a.shape[-1]} could need {bits} bits, and "
            f"{MAX_REGISTER_BITS} are simulated; lower the shifts, the widths or the depth"
        )
    return lead
