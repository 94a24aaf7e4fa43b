"""Products that are taken again and again, of arrays that stay in place: made ready once.

`matmul` finds out in every call what it is given. Here formats, shapes, accumulator and memory are known beforehand,
and so is the certificate (docs/kernels.md): a call only puts codes into words and runs the loop over tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.spec import Accumulator, Alignment, OverflowMode, ZeroPoint
from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.base import NumberFormat
from ptqsim.gemm.accumulation import Accumulation, accumulate
from ptqsim.gemm.correction import Correction
from ptqsim.gemm.exact import CACHE_BYTES, WordKernel, all_tiles, grain_of, shift_terms, word_kernels
from ptqsim.gemm.operands import operand as operands
from ptqsim.gemm.operands.fixed import Call, FixedLeft, FixedRight, fixed_left, fixed_right, meaning_of
from ptqsim.gemm.operands.operand import PreparedOperand
from ptqsim.gemm.product import Product
from ptqsim.gemm.steps.groups import Groups
from ptqsim.kernels.runtime import machine
from ptqsim.kernels.runtime import threads as _threads


class Sides(NamedTuple):
    """Both operands of a product, as they are in every call.

    Parameters
    ----------
    left : uint8 or uint16 array [A, M, K]
        Codes, C-contiguous; what they are is looked at in every call.
    left_formats : sequence of NumberFormat
        One for each of the A matrices.
    right : QuantizedArray [K, N], or uint8 or uint16 array [A, K, N] or [A, N, K]
        Weights, with A = 1, or codes as on the left.
    right_formats : sequence of NumberFormat
        One for each matrix of codes; those of weights are not looked at.
    transposed : bool
        True if codes of the right operand are [A, N, K].
    """

    left: NDArray[Any]
    left_formats: Sequence[NumberFormat]
    right: Any
    right_formats: Sequence[NumberFormat] = ()
    transposed: bool = False


def fixed_product(sides: Sides, accumulator: Accumulator, proven_bits: int, acc: NDArray[np.int32]) -> Call:
    """A call that fills `acc` with the product of what the operands hold when it is called.

    Parameters
    ----------
    sides : Sides
        The operands. Codes fit their formats; nothing is checked.
    accumulator : Accumulator
        The register. It must not trap unless `certified`.
    proven_bits : int
        Signed width that holds any sum over a subset of an output's products, at most 32.
    acc : int32 array [A, M, N]
        C-contiguous.
    """
    return _by_words(sides, accumulator, proven_bits, acc) or _in_steps(sides, accumulator, acc)


def certified(accumulator: Accumulator, depth: int, proven_bits: int, zero_points: bool) -> bool:
    """True if no register of the accumulator changes a sum, as any over a subset of products fits `proven_bits`."""
    if accumulator.alignment == Alignment.DEFERRED or (zero_points and accumulator.zero_point == ZeroPoint.CORRECTION):
        return False
    return proven_bits <= Groups.of(accumulator, depth).narrowest


def _kept_bits(sides: Sides, accumulator: Accumulator, proven_bits: int) -> int | None:
    """Low bits of the exact sum that the register holds in the end: 32 for all of it; None if it is another sum."""
    depth = sides.left.shape[-1]
    formats = {*sides.left_formats, *sides.right_formats}
    zero_points = any(one.zero_point for one in formats)
    if isinstance(sides.right, QuantizedArray):
        zero_points |= bool(sides.right.format.zero_point)
    if certified(accumulator, depth, proven_bits, zero_points):
        return 32
    wraps = accumulator.overflow == OverflowMode.WRAP and accumulator.alignment != Alignment.DEFERRED
    if wraps and Groups.of(accumulator, depth).homomorphic:
        return min(accumulator.bits, 32)
    return None


def _by_words(sides: Sides, accumulator: Accumulator, proven_bits: int, acc: NDArray[np.int32]) -> Call | None:
    """The exact product, by instructions for bytes or pairs, if a certificate allows it and operands fit."""
    bits = _kept_bits(sides, accumulator, proven_bits)
    if bits is None or machine.MATRIX:  # words for the matrix unit are made in every call
        return None
    for kernel in word_kernels():
        left = fixed_left(sides.left, sides.left_formats, kernel.parts)
        right = fixed_right(sides.right, sides.right_formats, sides.transposed, kernel.parts)
        runs = None if left is None or right is None else _runs(kernel, left, right, acc, 64 - bits)
        if left is not None and right is not None and runs is not None:
            return _in_turn([*left.calls, *right.calls, *runs])
    return None


def _runs(
    kernel: WordKernel, left: FixedLeft, right: FixedRight, acc: NDArray[np.int32], drop: int
) -> list[Call] | None:
    """The loops over tiles: one for all matrices whose planes have the same shifts."""
    batch, rows, columns = acc.shape
    numbers = kernel.tiles_of(batch, rows, columns)
    pairs = np.stack([np.arange(batch), np.arange(batch) % right.matrices], 1)
    tiles = all_tiles(numbers, kernel.together if right.values.nbytes <= CACHE_BYTES else None)
    of_batch = tiles // (numbers[1] * numbers[2])
    lines = np.zeros((0, 0), np.int32)
    made: list[Call] = []
    for shifts in dict.fromkeys(left.shifts):
        terms = shift_terms(shifts, right.shifts)
        if terms is None:
            return None
        own = np.array([one == shifts for one in left.shifts])
        correction, calls = right.correction(left.offsets, shifts)
        arguments = (tiles[own[of_batch]], pairs, terms, left.values, right.values, correction, lines, drop, acc)
        made += [*calls, _run(kernel, grain_of(right.depth), arguments)]
    return made


def _run(kernel: WordKernel, least: int, arguments: tuple[Any, ...]) -> Call:
    return lambda: _threads.run(kernel.tiles, len(arguments[0]), least, *kernel.options, *arguments)


def _in_turn(calls: Sequence[Call]) -> Call:
    def run() -> None:
        for call in calls:
            call()

    return run


def _in_steps(sides: Sides, accumulator: Accumulator, acc: NDArray[np.int32]) -> Call:
    """The product as `matmul` takes it, of all matrices of the same meaning at a time."""
    weights = isinstance(sides.right, QuantizedArray)
    count = len(acc)
    kinds = [
        (meaning_of(sides.left_formats[i]), None if weights else meaning_of(sides.right_formats[i]))
        for i in range(count)
    ]
    parts = []
    for kind in dict.fromkeys(kinds):
        own = np.flatnonzero([one == kind for one in kinds])
        parts.append((slice(None) if len(own) == count else own, int(own[0])))

    def run() -> None:
        for own, first in parts:
            a_format = sides.left_formats[first].unscaled()
            left = PreparedOperand(sides.left[own], a_format, True, None)
            if weights:
                right, b_format = operands.right(sides.right), sides.right.format
            else:
                b_format = sides.right_formats[first].unscaled()
                codes = sides.right[own].swapaxes(-1, -2) if sides.transposed else sides.right[own]
                right = PreparedOperand(codes, b_format, False, None)
            product = Product(left, right)
            zeros = a_format.zero_point, b_format.zero_point
            corrects = accumulator.zero_point == ZeroPoint.CORRECTION and any(zeros)
            correction = Correction(product, *zeros) if corrects else None
            into = acc if isinstance(own, slice) else None
            found = accumulate(Accumulation.of(product, accumulator, correction), statistics=False, into=into)
            if found.acc is not into:
                acc[own] = found.acc

    return run
