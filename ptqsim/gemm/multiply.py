"""Matrix products of codes on a P-bit accumulator: validate, bound, choose a kernel, run, report."""

from __future__ import annotations

from functools import lru_cache
from itertools import product as pairs_of
from typing import Any, NamedTuple
from weakref import ReferenceType, ref

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath import bounds
from ptqsim.datapath.order import MAX_REGISTER_BITS
from ptqsim.datapath.spec import Accumulator, Alignment
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.array import QuantizedArray, set_product
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.immutable import is_sealed, reconstructed
from ptqsim.gemm import operands, report
from ptqsim.gemm.accumulation import accumulate
from ptqsim.gemm.product import Product
from ptqsim.gemm.result import MatmulResult
from ptqsim.gemm.weak_identity import WeakIdentityDict
from ptqsim.kernels.runtime.environment import in_default_environment


@in_default_environment
def matmul(a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator, statistics: bool = True) -> MatmulResult:
    """The matrix product of two quantized arrays, as a datapath with this accumulator gives it.

    out[i, j] = accumulate over l of aligned_a[i, l] * aligned_b[l, j], in units of a.format.scale * b.format.scale.

    Parameters
    ----------
    a : QuantizedArray
        [..., M, K], in a shift-alignable format.
    b : QuantizedArray
        [..., K, N], likewise. Leading dimensions broadcast as in numpy; nothing is copied for it, and neither array has
        to be contiguous.
    accumulator : Accumulator
        Register width, overflow mode, order and alignment.
    statistics : bool, optional
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
    TypeError
        If an operand is no `QuantizedArray`, or the accumulator no `Accumulator`.
    ValueError
        If shapes do not fit, a format is not shift-alignable, or the exact result could need more than 63 bits.
    """
    plan = _latest.get(a)
    if plan is None or not plan.is_of(a, b) or plan.accumulator != accumulator:
        plan = _planned(a, b, accumulator)
    parts = [accumulate(product, accumulator, statistics) for product in plan.products]
    return report.combined(a, b, accumulator, parts, plan.shifts, plan.shape, statistics)


_WIDEST = Accumulator(bits=MAX_REGISTER_BITS)


def _exact_product(a: QuantizedArray, b: QuantizedArray) -> MatmulResult:
    """``a @ b``. `matmul` refuses products that could need more than the widest register, so nothing overflows."""
    return matmul(a, b, _WIDEST)


set_product(_exact_product)


class _Plan(NamedTuple):
    """Facts on two operands and an accumulator.

    For every register of the datapath the product that it accumulates, and how far it is shifted at the end.
    """

    b: ReferenceType[QuantizedArray]
    codes: tuple[NDArray[Any], NDArray[Any]]
    layouts: tuple[Any, Any]
    formats: tuple[NumberFormat, NumberFormat]
    accumulator: Accumulator
    shape: tuple[int, ...]
    products: list[Product]
    shifts: list[int]

    def is_of(self, a: QuantizedArray, b: QuantizedArray) -> bool:
        """True if the facts hold for these operands as they are now; `object.__setattr__` can change frozen ones."""
        own_a, own_b = self.codes
        return (
            self.b() is b
            and own_a is a.codes
            and own_b is b.codes
            and self.layouts == (operands.layout_of(own_a), operands.layout_of(own_b))
            and self.formats == (a.format, b.format)
        )


# For every left operand that still lives the latest, with what was made for both operands.
_latest: WeakIdentityDict[QuantizedArray, _Plan] = WeakIdentityDict()


def _planned(a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator) -> _Plan:
    _check_types(a, b, accumulator)
    # What is compared later are copies, which change with nothing; making one checks it once more.
    accumulator = reconstructed(accumulator)
    shape = _checked_shape(a.codes.shape, b.codes.shape, a.format, b.format, accumulator)
    deferred, known = accumulator.alignment == Alignment.DEFERRED, _latest.get(a)
    if known is not None and known.is_of(a, b) and (known.accumulator.alignment == Alignment.DEFERRED) == deferred:
        products, shifts = known.products, known.shifts
    elif not deferred:
        # Shifting the product or the operand before it gives the same exact product (Eq. 5): one path for both.
        products, shifts = [Product(operands.left(a), operands.right(b))], [0]
    else:
        ranges = list(pairs_of(enumerate(a.format.ranges()), enumerate(b.format.ranges())))
        products = [Product(operands.left(a, i), operands.right(b, j)) for (i, _), (j, _) in ranges]
        shifts = [a_range.shift + b_range.shift for (_, a_range), (_, b_range) in ranges]
    formats, codes = (reconstructed(a.format), reconstructed(b.format)), (a.codes, b.codes)
    layouts = operands.layout_of(a.codes), operands.layout_of(b.codes)
    plan = _Plan(ref(b), codes, layouts, formats, accumulator, shape, products, shifts)
    if all(map(is_sealed, codes)):
        _latest[a] = plan
    return plan


def _check_types(a: object, b: object, accumulator: object) -> None:
    for name, array in (("a", a), ("b", b)):
        if not isinstance(array, QuantizedArray):
            raise ArgumentTypeError(
                f"{name} must be a QuantizedArray, got {type(array).__name__}; make one with "
                "ptqsim.quantize(real, format) or ptqsim.QuantizedArray(codes, format)"
            )
    if not isinstance(accumulator, Accumulator):
        raise ArgumentTypeError(f"accumulator must be an Accumulator, got {accumulator!r}")


# A layer meets the same shapes, formats and registers again and again.
@lru_cache(maxsize=256)
def _checked_shape(
    a: tuple[int, ...], b: tuple[int, ...], a_format: NumberFormat, b_format: NumberFormat, accumulator: Accumulator
) -> tuple[int, ...]:
    """The shape of the result, if operands of these shapes and formats have one that is simulated."""
    for name, shape in (("a", a), ("b", b)):
        if len(shape) < 2:
            raise ValueError(f"{name} must have two dimensions or more, got the shape {shape}")
    if a[-1] != b[-2]:
        raise ValueError(
            f"a {a} and b {b} do not fit: a is [..., M, K] and b [..., K, N], and K is {a[-1]} in a but {b[-2]} in b"
        )
    try:
        lead = np.broadcast_shapes(a[:-2], b[:-2])
    except ValueError:
        raise ValueError(f"leading dimensions of a {a} and b {b} do not broadcast") from None
    bits = bounds.result_bits(a_format, b_format, a[-1], accumulator)
    if bits > MAX_REGISTER_BITS:
        raise ValueError(
            f"the exact result of {a_format} times {b_format} at depth {a[-1]} could need {bits} bits, and "
            f"{MAX_REGISTER_BITS} are simulated; lower the shifts, the widths or the depth"
        )
    return (*lead, a[-2], b[-1])
