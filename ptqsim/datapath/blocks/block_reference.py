"""The executable specification of products of blocks, in plain Python integers and fractions.

It decides where docs/blocks.md is silent:

- *order*. Blocks are added in the order of the depth, into a register that starts at zero.
- *trap*. The error names the first output in C order that has an event, the number of the block, and the width with
  which the register would have held every prefix sum of the whole product, of values brought to its grid.
- *infinity*. A value or sum that rounds to 2**128 or more in magnitude is infinite, and goes on as in IEEE 754.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.common.validation import checked_type
from ptqsim.datapath.blocks.registers import AlignedFloat32, Cut, FixedPoint, Float32
from ptqsim.datapath.codes.minifloat import minifloat_aligned
from ptqsim.datapath.codes.operand import operand
from ptqsim.datapath.register import add, fits
from ptqsim.datapath.spec import OverflowMode, bits_for
from ptqsim.errors import AccumulatorOverflowError, ArgumentTypeError
from ptqsim.formats.blocks.array import BlockArray
from ptqsim.formats.blocks.block import E8M0_BIAS, E8M0_NAN, Block, BlockScale
from ptqsim.formats.floats.named import E4M3

_FLOAT32_BITS, _FLOAT32_LEAST, _FLOAT32_INFINITY = 24, -149, 128


def matmul(a: BlockArray, b: BlockArray, register: FixedPoint | Float32 | AlignedFloat32) -> list[list[Any]]:
    """The product of two matrices of blocks, as a datapath with this register gives it.

    Parameters
    ----------
    a : BlockArray
        [M, K], with blocks along the last axis.
    b : BlockArray
        [K, N], with blocks of the same size along the first axis.
    register : FixedPoint, Float32 or AlignedFloat32
        The register that the values of blocks are added in.

    Returns
    -------
    nested lists [M, N]
        Of int, in units of 2**weight times both tensor scales, from a `FixedPoint`; of float, in units of both tensor
        scales, from the others.

    Raises
    ------
    AccumulatorOverflowError
        Under ``trap``, if the register overflows.
    TypeError
        If an argument has the wrong type.
    ValueError
        If the operands do not fit each other, or have a NaN.
    """
    if not isinstance(register, FixedPoint | Float32 | AlignedFloat32):
        raise ArgumentTypeError(f"register must be a FixedPoint, Float32 or AlignedFloat32, got {register!r}")
    exact = values(a, b)
    if isinstance(register, FixedPoint) and register.overflow == OverflowMode.TRAP:
        _trap([[[on_grid(value, register) for value in each] for each in row] for row in exact], register.bits)
    nothing = 0 if isinstance(register, FixedPoint) else 0.0
    return [[(steps(each, register) or [nothing])[-1] for each in row] for row in exact]


def values(a: BlockArray, b: BlockArray) -> list[list[list[Fraction]]]:
    """The exact value of every pair of blocks of every output, in units of both tensor scales.

    Parameters
    ----------
    a : BlockArray
        [M, K], with blocks along the last axis.
    b : BlockArray
        [K, N], with blocks of the same size along the first axis.

    Returns
    -------
    nested lists [M, N, blocks]

    Raises
    ------
    TypeError
        If an operand is no `BlockArray`.
    ValueError
        If the operands do not fit each other, or have a NaN.
    """
    rows, columns = _lines(a, "a", -1), _lines(b, "b", -2)
    if (a.depth, a.format.block) != (b.depth, b.format.block):
        raise ValueError(
            f"a {a.shape} in blocks of {a.format.block} and b {b.shape} in blocks of {b.format.block} do not fit; "
            "the depth, the last axis of a and the first of b, and the size of blocks have to be the same"
        )
    return [[block_values(row, column) for column in columns] for row in rows]


BlockLine = list[tuple[list[int], Fraction]]
"""Aligned elements of every block of a row or column, and what 1 of them stands for."""


def block_values(row: BlockLine, column: BlockLine) -> list[Fraction]:
    """The exact value of every pair of blocks: the sum of its products, times what a product of ones stands for."""
    return [
        sum(x * w for x, w in zip(left, right, strict=True)) * unit_left * unit_right
        for (left, unit_left), (right, unit_right) in zip(row, column, strict=True)
    ]


def steps(values: list[Fraction], register: FixedPoint | Float32 | AlignedFloat32) -> list[Any]:
    """Contents of the register after every step of one output: int, or float.

    Parameters
    ----------
    values : list of Fraction
        The exact value of every pair of blocks, in the order of the depth.
    register : FixedPoint, Float32 or AlignedFloat32
        Under ``trap`` the register raises nothing, and wraps.
    """
    if isinstance(register, FixedPoint):
        return list(accumulate((on_grid(value, register) for value in values), _adder(register), initial=0))[1:]
    held: list[float] = [0.0]
    if isinstance(register, Float32):
        for value in values:
            held.append(_float_added(held[-1], float32(value)))
        return held[1:]
    for start in range(0, len(values), register.blocks):
        group = [Fraction(held[-1]), *values[start : start + register.blocks]]
        held.append(float32_toward_zero(aligned_sum(group, register.fraction_bits)))
    return held[1:]


def _adder(register: FixedPoint) -> Callable[[int, int], int]:
    overflow = OverflowMode.WRAP if register.overflow == OverflowMode.TRAP else register.overflow
    return lambda total, term: add(total, term, register.bits, overflow)


def _float_added(total: float, term: float) -> float:
    if math.isfinite(total) and math.isfinite(term):
        return float32(Fraction(total) + Fraction(term))
    return total + term  # an infinity, or two that cancel to NaN, as in IEEE 754 in every width


def on_grid(value: Fraction, register: FixedPoint) -> int:
    """The integer that a value becomes in units of the register's least bit."""
    scaled = value / Fraction(2) ** register.weight
    return math.floor(scaled) if register.rounding == Cut.CUT else round(scaled)  # Python rounds half to even


def float32(value: Fraction) -> float:
    """The float32 nearest to a value, half to even; infinite from 2**128 - 2**103 on."""
    if not value:
        return 0.0
    step = _float32_step(value)
    rounded = round(abs(value) / step) * step
    result = math.inf if rounded >= Fraction(2) ** _FLOAT32_INFINITY else float(rounded)
    return -result if value < 0 else result


def float32_toward_zero(value: Fraction) -> float:
    """The float32 next to a value on the side of zero, as IEEE 754 rounds toward zero: never infinite."""
    if not value:
        return 0.0
    step, largest = _float32_step(value), Fraction(2) ** _FLOAT32_INFINITY * (1 - Fraction(1, 2**_FLOAT32_BITS))
    return float(min(max(math.trunc(value / step) * step, -largest), largest))


def exponent_of(value: Fraction) -> int:
    """Exponent of a value that is not zero: floor(log2(abs(value)))."""
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    return exponent if abs(value) >= Fraction(2) ** exponent else exponent - 1


def aligned_sum(terms: list[Fraction], fraction_bits: int) -> Fraction:
    """The sum of terms that are cut toward zero to multiples of 2**(E - F), E being their greatest exponent."""
    exponents = [exponent_of(term) for term in terms if term]
    if not exponents:
        return Fraction(0)
    step = Fraction(2) ** (max(exponents) - fraction_bits)
    return sum(math.trunc(term / step) for term in terms) * step


def _float32_step(value: Fraction) -> Fraction:
    """The distance of float32s at a value that is not zero."""
    return Fraction(2) ** max(exponent_of(value) + 1 - _FLOAT32_BITS, _FLOAT32_LEAST)


def _trap(terms: list[list[list[int]]], bits: int) -> None:
    """Raise for the first sum that does not fit."""
    first, lowest, highest = None, 0, 0
    for i, row in enumerate(terms):
        for j, each in enumerate(row):
            total = 0
            for block, term in enumerate(each):
                total += term
                lowest, highest = min(lowest, total), max(highest, total)
                if first is None and not fits(total, bits):
                    first = (i, j), block
    if first is not None:
        raise AccumulatorOverflowError(*first, "accumulator", bits, bits_for(lowest, highest))


def _lines(array: object, name: str, axis: int) -> list[BlockLine]:
    """The rows of a, or the columns of b."""
    array = checked_type(name, array, BlockArray, "make one with ptqsim.quantize_blocks(real, format, axis)")
    if len(array.shape) != 2 or array.axis != axis:
        place = "last" if axis == -1 else "first"
        raise ValueError(
            f"{name} must be a matrix with blocks along its {place} axis, got the shape {array.shape} with blocks "
            f"along axis {array.axis}"
        )
    check_numbers(array, name)
    array = BlockArray(array.codes, array.scales, array.format, array.depth, array.axis)
    element, step = array.format.element, Fraction(array.format.element.step)
    lines = []
    for codes, scales in zip(array.codes.tolist(), array.scales.tolist(), strict=True):
        blocks = zip(codes, scales, strict=True)
        lines.append(
            [
                ([operand(code, element).aligned for code in block], step * scale_of(s, array.format))
                for block, s in blocks
            ]
        )
    return lines


def scale_of(code: int, block_format: Block) -> Fraction:
    """The scale X that a code stands for, which is not that of NaN."""
    if block_format.scale == BlockScale.E4M3:
        return minifloat_aligned(code, E4M3) * Fraction(E4M3.step)
    return Fraction(2) ** (code - E8M0_BIAS)


def check_numbers(array: BlockArray, name: str) -> None:
    """Refuse NaN as a scale or an element, with a ValueError that counts them and names the first."""
    array.format.element.check_numbers(array.codes, f"elements of {name}")
    if array.format.scale == BlockScale.E4M3:
        E4M3.check_numbers(array.scales, f"scales of {name}")
        return
    wrong: NDArray[np.bool] = array.scales == E8M0_NAN
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"{int(wrong.sum())} of {wrong.size} scales of {name} are NaN, the first at index {first}")
