"""Safe widths of fixed-point registers for blocks, and the bounds that prove them.

As in `ptqsim.datapath.bounds`, every theorem bounds the sum over any subset of one output's terms, here integers in
units of the register's least bit, and so every prefix sum.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from ptqsim.common.validation import checked_integer, checked_scale, checked_type
from ptqsim.datapath.blocks.block_reference import check_numbers, on_grid, scale_of
from ptqsim.datapath.blocks.registers import FixedPoint
from ptqsim.datapath.bounds import MAX_DEPTH
from ptqsim.datapath.limits.bound import Bound
from ptqsim.datapath.spec import bits_for
from ptqsim.formats.arrays.immutable import checked_anew
from ptqsim.formats.blocks.array import BlockArray
from ptqsim.formats.blocks.block import E8M0_BIAS, E8M0_LARGEST, Block, BlockScale
from ptqsim.formats.floats.named import E4M3


def datatype(
    a_format: Block,
    b_format: Block,
    depth: int,
    register: FixedPoint,
    a_scale: float | None = None,
    b_scale: float | None = None,
) -> Bound:
    """Bound from the formats, the depth and the largest scales alone.

    A product lies in [p_min, p_max], the extremes over the corners of the two aligned ranges, and zero. The value of a
    block of n of them lies between n * p_min and n * p_max times what a product of ones with the largest scales is
    worth, and its term between those of the two ends, as bringing to the grid is monotone. Both ends occur in every
    block.

    Parameters
    ----------
    a_format, b_format : Block
        Formats with blocks of the same size.
    depth : int
        Number of products per output, K. The last block has what is left.
    register : FixedPoint
        The register; of its fields `weight` and `rounding` count.
    a_scale, b_scale : float, optional
        The largest scale X of a block; by default that of the format: 2**127 of E8M0, 448 of E4M3.

    Returns
    -------
    Bound
        In units of 2**weight times both tensor scales.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If the depth is negative, the sizes of blocks differ, or a scale is none of the format's: with E8M0 a power of
        two from 2**-127 to 2**127.
    """
    a_format, b_format = _checked("a_format", a_format), _checked("b_format", b_format)
    register = checked_anew("register", register, FixedPoint, "blocks are bounded in fixed-point registers")
    depth = checked_integer("depth", depth, 0, MAX_DEPTH)
    size = a_format.block
    if b_format.block != size:
        raise ValueError(f"blocks of {size} and of {b_format.block} values do not fit; give formats of the same size")
    unit = largest_scale(a_format, a_scale, "a_scale") * largest_scale(b_format, b_scale, "b_scale")
    unit *= Fraction(a_format.element.step) * Fraction(b_format.element.step)
    (a_low, a_high), (b_low, b_high) = _ends(a_format), _ends(b_format)
    corners = (a_low * b_low, a_low * b_high, a_high * b_low, a_high * b_high)
    least, greatest = min(0, *corners), max(0, *corners)

    def sums(product: int) -> int:
        whole, left = on_grid(size * product * unit, register), on_grid(depth % size * product * unit, register)
        return depth // size * whole + left

    blocks = -(-depth // size)
    of_size = f"{blocks} blocks of up to {size} products between {least} and {greatest}"
    why = f"{of_size}, and 1 is worth {_shown(unit)} at most"
    return Bound("datatype", "theorem", sums(least), sums(greatest), why)


def weight_aware(a_format: Block, weights: BlockArray, register: FixedPoint, a_scale: float | None = None) -> Bound:
    """Bound from the format of the left operand, its largest scale, and the known right operand.

    With W+ and W- the sums of the positive and of the negated negative aligned elements of a block, and a in [a_min,
    a_max] around zero, the sum of its products is at most a_max * W+ - a_min * W- and at least a_min * W+ - a_max * W-.
    Each is brought to the grid with the block's own scale, and the terms are added; both ends occur.

    Parameters
    ----------
    a_format : Block
        Format of the left operand.
    weights : BlockArray
        The right operand, [..., K, N], with blocks along the last axis but one.
    register : FixedPoint
        The register; of its fields `weight` and `rounding` count.
    a_scale : float, optional
        The largest scale X of a block of the left operand; by default that of the format.

    Returns
    -------
    Bound
        In units of 2**weight times both tensor scales, with the bits of every output.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If the weights have less than two dimensions or blocks along another axis, or a NaN, the sizes of blocks differ,
        or the scale is none of the format's.
    """
    a_format = _checked("a_format", a_format)
    register = checked_anew("register", register, FixedPoint, "blocks are bounded in fixed-point registers")
    checked_type("weights", weights, BlockArray, "make one with ptqsim.quantize_blocks(real, format, axis=-2)")
    fmt = weights.format
    if len(weights.shape) < 2 or weights.axis != -2:
        raise ValueError(
            f"weights must be [..., K, N] with blocks along the last axis but one, got the shape {weights.shape} with "
            f"blocks along axis {weights.axis}; give quantize_blocks the axis -2"
        )
    if fmt.block != a_format.block:
        raise ValueError(f"blocks of {a_format.block} and of {fmt.block} values do not fit; give the same size")
    check_numbers(weights, "the weights")
    unit = largest_scale(a_format, a_scale, "a_scale") * Fraction(a_format.element.step) * Fraction(fmt.element.step)
    low, high = _ends(a_format)
    values = fmt.element.align(weights.codes)
    positive, negative = np.maximum(values, 0).sum(axis=-1), np.maximum(-values, 0).sum(axis=-1)
    factors = {code: unit * scale_of(code, fmt) for code in np.unique(weights.scales).tolist()}
    shape, blocks = weights.scales.shape[:-1], weights.scales.shape[-1]
    ends = []
    lines = zip(*(x.reshape(-1, blocks).tolist() for x in (positive, negative, weights.scales)), strict=True)
    for plus, minus, scales in lines:
        least = greatest = 0
        for p, m, code in zip(plus, minus, scales, strict=True):
            least += on_grid((low * p - high * m) * factors[code], register)
            greatest += on_grid((high * p - low * m) * factors[code], register)
        ends.append((least, greatest))
    per_output = np.array([bits_for(*each) for each in ends], np.int64).reshape(shape)
    lowest, highest = min((x for x, _ in ends), default=0), max((x for _, x in ends), default=0)
    why = f"the weights of one output times elements of {low} .. {high} sum to {lowest} .. {highest} at most"
    return Bound("weight_aware", "theorem", lowest, highest, why, per_output)


def largest_scale(block_format: Block, given: float | None, name: str) -> Fraction:
    """The largest scale of a block: that of the format, or a smaller one that was given."""
    e8m0 = block_format.scale == BlockScale.E8M0
    if given is None:
        return Fraction(2) ** (E8M0_LARGEST - E8M0_BIAS) if e8m0 else Fraction(E4M3.real_max)
    scale = checked_scale(given, name)
    if e8m0 and (math.frexp(scale)[0] != 0.5 or not -E8M0_BIAS < math.frexp(scale)[1] <= E8M0_LARGEST - E8M0_BIAS + 1):
        raise ValueError(
            f"{name} is {given!r}, and the scales of {block_format} are powers of two from 2**-127 to 2**127; try "
            f"{2.0 ** round(math.log2(scale))!r}"
        )
    if not e8m0 and float(E4M3.decode(E4M3.encode(scale))) != scale:
        raise ValueError(
            f"{name} is {given!r}, and the scales of {block_format} are numbers of E4M3 up to 448; try "
            f"{float(E4M3.decode(E4M3.encode(scale)))!r}"
        )
    return Fraction(scale)


def _checked(name: str, block_format: Block) -> Block:
    return checked_anew(name, block_format, Block, "such as ptqsim.MXFP8")


def _ends(block_format: Block) -> tuple[int, int]:
    """Least and greatest aligned element, zero included."""
    return min(0, block_format.element.aligned_min), max(0, block_format.element.aligned_max)


def _shown(unit: Fraction) -> str:
    """A factor in few characters: as a power of two where it is one."""
    exponent = unit.numerator.bit_length() - unit.denominator.bit_length()
    return f"2**{exponent}" if unit == Fraction(2) ** exponent else f"{float(unit):.6g}"
