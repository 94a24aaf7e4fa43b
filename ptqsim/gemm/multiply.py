"""Matrix products of codes on a P-bit accumulator: validate, bound, choose a kernel, run, report."""

from __future__ import annotations

from functools import lru_cache
from itertools import product as pairs_of
from typing import Any, overload
from weakref import ref

import numpy as np

from ptqsim.datapath.blocks.registers import BlockRegister
from ptqsim.datapath.order import MAX_REGISTER_BITS
from ptqsim.datapath.result_bits import result_bits
from ptqsim.datapath.spec import Accumulator, Alignment, ZeroPoint
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.array import QuantizedArray, set_product
from ptqsim.formats.arrays.immutable import is_sealed, reader_of, reconstructed
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.blocks.array import BlockArray
from ptqsim.gemm.accumulation import Accumulation, accumulate
from ptqsim.gemm.blocks.multiply import matmul_blocks
from ptqsim.gemm.correction import Correction
from ptqsim.gemm.operands import operand as operands
from ptqsim.gemm.operands.operand import settable
from ptqsim.gemm.operands.weak_identity import WeakIdentityDict
from ptqsim.gemm.product import Product
from ptqsim.gemm.results import report
from ptqsim.gemm.results.result import MatmulResult
from ptqsim.kernels.runtime.environment import in_default_environment, is_default


@overload
def matmul(
    a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator, statistics: bool = True
) -> MatmulResult: ...  # fmt: skip


@overload
def matmul(a: BlockArray, b: BlockArray, accumulator: BlockRegister, statistics: bool = True) -> MatmulResult: ...


def matmul(a: Any, b: Any, accumulator: Any, statistics: bool = True) -> MatmulResult:
    """The matrix product of two quantized arrays, as a datapath with this accumulator gives it.

    out[i, j] = accumulate over l of aligned_a[i, l] * aligned_b[l, j], in units of a.format.steps * b.format.steps.

    Of blocks, the products of every pair are summed exactly, and what that sum is worth with both scales is added in a
    register for blocks, one block after the other (docs/blocks.md).

    Parameters
    ----------
    a : QuantizedArray or BlockArray
        [..., M, K], in a shift-alignable format, or with blocks along the last axis.
    b : QuantizedArray or BlockArray
        [..., K, N], likewise, with blocks along the last axis but one. Leading dimensions broadcast as in numpy;
        nothing is copied for it, and neither array has to be contiguous.
    accumulator : Accumulator, FixedPoint, Float32 or AlignedFloat32
        Register width, overflow mode, order and alignment; for blocks one of the other three.
    statistics : bool, optional
        Whether to report overflow events. They take no time if switched off. Widths (`overflow.bits_needed`) are
        computed on first use, so the result keeps the operands alive.

    Returns
    -------
    MatmulResult
        ``acc`` int64 [..., M, N], or float32 of blocks in `Float32` and `AlignedFloat32`, for which ``overflow`` is
        None; the same bits on every machine and with any number of threads.

    Raises
    ------
    AccumulatorOverflowError
        Under ``trap``, if a register overflows.
    TypeError
        If an operand is no `QuantizedArray`, or the accumulator no `Accumulator`; of blocks no `BlockArray`, or none of
        their registers.
    ValueError
        If shapes do not fit, a format is not shift-alignable, a scale varies along K, a code stands for infinity or
        NaN, or the exact result could need more than 63 bits. Of blocks, if they do not lie along the depth or differ
        in size, a scale or element is NaN, or a block's sum of products could need more than 80 bits.
    """
    # Where the environment is the default one, a small product saves the call in between.
    return (_multiply if is_default() else _multiply_in_default)(a, b, accumulator, statistics)


def _multiply(a: Any, b: Any, accumulator: Any, statistics: bool) -> MatmulResult:
    plan = _latest.get(a)
    if plan is None or not plan.is_of(a, b) or not plan.is_for(accumulator):
        if isinstance(a, BlockArray) or isinstance(b, BlockArray):
            return matmul_blocks(a, b, accumulator, statistics)
        plan = _planned(a, b, accumulator)
    parts = [accumulate(accumulation, statistics) for accumulation in plan.accumulations]
    return report.combined(a, b, plan.accumulator, parts, plan.shifts, plan.shape, statistics)


_multiply_in_default = in_default_environment(_multiply)


_WIDEST = Accumulator(bits=MAX_REGISTER_BITS)


def _exact_product(a: QuantizedArray, b: QuantizedArray) -> MatmulResult:
    """``a @ b``. `matmul` refuses products that could need more than the widest register, so nothing overflows."""
    return matmul(a, b, _WIDEST)


set_product(_exact_product)


class _Plan:
    """Facts on two operands and an accumulator.

    For every register of the datapath how it accumulates, and how far it is shifted at the end; and the operands and
    the accumulator as they were, since `object.__setattr__` can change frozen objects, and read-only arrays can be
    given another layout. A small product takes about as long as these comparisons, so no call lies between them.
    """

    __slots__ = (
        "_accumulator_fields", "_accumulator_reader", "_b", "_bases", "_codes", "_format_fields", "_format_readers",
        "_layouts", "accumulations", "accumulator", "shape", "shifts",
    )  # fmt: skip

    def __init__(
        self, a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator, shape: tuple[int, ...],
        accumulations: list[Accumulation], shifts: list[int],
    ) -> None:  # fmt: skip
        self.accumulator, self.shape, self.accumulations, self.shifts = accumulator, shape, accumulations, shifts
        self._accumulator_reader = reader_of(accumulator)
        self._accumulator_fields = self._accumulator_reader(accumulator)
        formats = reconstructed(a.format), reconstructed(b.format)
        self._format_readers = read_a, read_b = reader_of(formats[0]), reader_of(formats[1])
        self._format_fields = read_a(formats[0]), read_b(formats[1])
        self._b, self._codes, self._bases = ref(b), (a.codes, b.codes), (a.codes.base, b.codes.base)
        self._layouts = settable(a.codes), settable(b.codes)

    def is_of(self, a: QuantizedArray, b: QuantizedArray) -> bool:
        """True if the facts hold for these operands as they are now."""
        if self._b() is not b:
            return False
        codes_a, codes_b = a.codes, b.codes
        own_a, own_b = self._codes
        base_a, base_b = self._bases
        if codes_a is not own_a or codes_b is not own_b or codes_a.base is not base_a or codes_b.base is not base_b:
            return False
        read_a, read_b = self._format_readers
        try:
            fields = read_a(a.format), read_b(b.format)
        except AttributeError:  # formats of other classes
            return False
        return fields == self._format_fields and (settable(codes_a), settable(codes_b)) == self._layouts

    def is_for(self, accumulator: Accumulator) -> bool:
        """True if the facts hold for this accumulator as it is now."""
        try:
            return self._accumulator_reader(accumulator) == self._accumulator_fields
        except AttributeError:  # it has another order, or is no accumulator
            return False


# For every left operand that still lives the latest, with what was made for both operands.
_latest: WeakIdentityDict[QuantizedArray, _Plan] = WeakIdentityDict()


def _planned(a: QuantizedArray, b: QuantizedArray, accumulator: Accumulator) -> _Plan:
    _check_types(a, b, accumulator)
    # What is compared later are copies, which change with nothing; making one checks it once more.
    accumulator = reconstructed(accumulator)
    for name, array in (("a", a), ("b", b)):
        array.format.check_numbers(array.codes, f"codes of {name}")
    shape = _checked_shape(a.codes.shape, b.codes.shape, a.format, b.format, accumulator)
    deferred, known = accumulator.alignment == Alignment.DEFERRED, _latest.get(a)
    if known is not None and known.is_of(a, b) and (known.accumulator.alignment == Alignment.DEFERRED) == deferred:
        products, shifts = [accumulation.product for accumulation in known.accumulations], known.shifts
    elif not deferred:
        # Shifting the product or the operand before it gives the same exact product (Eq. 5): one path for both.
        products, shifts = [Product(operands.left(a), operands.right(b))], [0]
    else:
        ranges = list(pairs_of(enumerate(a.format.ranges()), enumerate(b.format.ranges())))
        products = [Product(operands.left(a, i), operands.right(b, j)) for (i, _), (j, _) in ranges]
        shifts = [a_range.shift + b_range.shift for (_, a_range), (_, b_range) in ranges]
    zeros = a.format.zero_point, b.format.zero_point
    corrects = accumulator.zero_point == ZeroPoint.CORRECTION and any(zeros)
    corrections = [Correction(product, *zeros) if corrects else None for product in products]
    accumulations = [
        Accumulation.of(product, accumulator, correction)
        for product, correction in zip(products, corrections, strict=True)
    ]
    plan = _Plan(a, b, accumulator, shape, accumulations, shifts)
    if is_sealed(a.codes) and is_sealed(b.codes):
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


# A layer uses the same shapes, formats and registers in every call.
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
    for name, number_format, along_depth in (("a", a_format, -1), ("b", b_format, -2)):
        if number_format.axis == along_depth:
            raise ValueError(
                f"the scale of {name} varies along the depth K (axis {along_depth}), and no product has one unit then: "
                f"give it axis={-3 - along_depth}; scales along the depth are those of block formats"
            )
    try:
        lead = np.broadcast_shapes(a[:-2], b[:-2])
    except ValueError:
        raise ValueError(f"leading dimensions of a {a} and b {b} do not broadcast") from None
    bits = result_bits(a_format, b_format, a[-1], accumulator)
    if bits > MAX_REGISTER_BITS:
        raise ValueError(
            f"the exact result of {a_format} times {b_format} at depth {a[-1]} could need {bits} bits, and "
            f"{MAX_REGISTER_BITS} are simulated; lower the shifts, the widths or the depth"
        )
    return (*lead, a[-2], b[-1])
