"""Matrix products of blocks into one of their registers."""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple

import numpy as np

from ptqsim.datapath.blocks.block_reference import check_numbers
from ptqsim.datapath.blocks.registers import AlignedFloat32, BlockRegister, FixedPoint, Float32
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.arrays.immutable import reconstructed
from ptqsim.formats.blocks.array import BlockArray
from ptqsim.gemm.blocks import registers, report
from ptqsim.gemm.blocks.operand import BlockOperand, operand
from ptqsim.gemm.blocks.product import BlockProduct
from ptqsim.gemm.operands.weak_identity import WeakIdentityDict
from ptqsim.gemm.results.result import MatmulResult

_LEGAL: Final = "a FixedPoint, Float32 or AlignedFloat32"


class _Plan(NamedTuple):
    """The operands of the latest product of a left array, and what was made for both."""

    left: BlockOperand
    right: BlockOperand
    product: BlockProduct


_latest: WeakIdentityDict[BlockArray, _Plan] = WeakIdentityDict()


def matmul_blocks(a: BlockArray, b: BlockArray, register: BlockRegister, statistics: bool) -> MatmulResult:
    """The product of two arrays of blocks; see `ptqsim.matmul`.

    Raises
    ------
    AccumulatorOverflowError
        Under ``trap``, if the register overflows.
    TypeError
        If an argument has the wrong type.
    ValueError
        If shapes, blocks or axes do not fit, a code stands for NaN, or sums of blocks are too wide.
    """
    _check_types(a, b, register)
    register, shape = reconstructed(register), _checked_shape(a, b)
    product = _product(a, b)
    if isinstance(register, Float32):
        return _of_floats(registers.of_float32(product), product, a, b, shape)
    if isinstance(register, AlignedFloat32):
        return _of_floats(registers.of_aligned(product, register), product, a, b, shape)
    held = registers.of_fixed(product, register, statistics or register.overflow == "trap")
    return report.of_fixed(held, product, a, b, register, shape, statistics)


def _product(a: BlockArray, b: BlockArray) -> BlockProduct:
    left, right = operand(a, is_left=True), operand(b, is_left=False)
    plan = _latest.get(a)
    if plan is None or plan.left is not left or plan.right is not right:
        for name, side, array in (("a", left, a), ("b", right, b)):
            side.make("numbers", check_numbers, array, name)
        product = BlockProduct(left, right)
        product.check_width()
        plan = _Plan(left, right, product)
        _latest[a] = plan
    return plan.product


def _of_floats(
    held: registers.Held, product: BlockProduct, a: BlockArray, b: BlockArray, shape: tuple[int, ...]
) -> MatmulResult:  # fmt: skip
    scale = a.format.tensor_scale * b.format.tensor_scale
    exact = partial(report.is_exact_in_reals, held.acc.reshape(shape).copy(), product, a, b)
    return MatmulResult(held.acc.reshape(shape), scale, None, held.kernel, held.certificate, exact)


def _check_types(a: object, b: object, register: object) -> None:
    for name, array, side in (("a", a, "last"), ("b", b, "last but one")):
        if not isinstance(array, BlockArray):
            raise ArgumentTypeError(
                f"{name} must be a BlockArray, as the other operand is one, got {type(array).__name__}; make one with "
                "ptqsim.quantize_blocks(real, format, axis), or from plain codes with BlockArray.from_plain(codes, "
                f"block, axis), the axis being its {side} one"
            )
    if not isinstance(register, FixedPoint | Float32 | AlignedFloat32):
        raise ArgumentTypeError(
            f"blocks are added in {_LEGAL}, got {register!r}; try ptqsim.FixedPoint(bits=32, weight=-16)"
        )


def _checked_shape(a: BlockArray, b: BlockArray) -> tuple[int, ...]:
    for name, array, axis, place in (("a", a, -1, "last"), ("b", b, -2, "last but one")):
        if len(array.shape) < 2 or array.axis != axis:
            raise ValueError(
                f"{name} must have two dimensions or more and blocks along its {place} axis, got the shape "
                f"{array.shape} with blocks along axis {array.axis}; give quantize_blocks the axis {axis}"
            )
    if (a.depth, a.format.block) != (b.depth, b.format.block):
        raise ValueError(
            f"a {a.shape} in blocks of {a.format.block} and b {b.shape} in blocks of {b.format.block} do not fit; "
            "the depth, the last axis of a and the last but one of b, and the size of blocks have to be the same"
        )
    try:
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(f"leading dimensions of a {a.shape} and b {b.shape} do not broadcast") from None
    return (*lead, a.shape[-2], b.shape[-1])
