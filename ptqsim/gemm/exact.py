"""The exact product, in the fastest way that is proven to give its bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.gemm.integers import integers_wanted
from ptqsim.gemm.operands.operand import INT32_MAX, INT64_MAX
from ptqsim.gemm.operands.planes import (
    BYTES,
    PAIRS,
    Parts,
    Planes,
    left_planes,
    number_of_planes,
    offset_sums,
    right_planes,
    row_sums,
)
from ptqsim.gemm.product import Product
from ptqsim.kernels.codegen.geometry import COLUMNS, ROWS
from ptqsim.kernels.matmul import accumulate, convert, exact, lanes, matrix, prefix
from ptqsim.kernels.runtime import machine
from ptqsim.kernels.runtime import threads as _threads

# Steps of tiles below which another thread costs more than it brings.
_STEPS = 1024

CACHE_BYTES = 1 << 20
"""About half of the second-level cache, which a core has for itself."""


def grain(product: Product) -> int:
    """Tiles below which another thread costs more than it brings."""
    return grain_of(product.depth)


def grain_of(depth: int) -> int:
    """The same for a depth."""
    return max(1, _STEPS // max(depth, 1))


class Exact(NamedTuple):
    """Exact sums [batch, M, N], perhaps reduced to some bits; whether that changed any; and what ran."""

    acc: NDArray[np.int64]
    reduced: bool
    kernel: str


def exact_product(product: Product, bits: int = 63, into: NDArray[Any] | None = None) -> Exact:
    """The product in unbounded integers, reduced at the end to the low `bits` bits, sign included.

    `into`, int64 or int32, is where words put it; other ways take memory of their own.
    """
    found = by_words(product, np.empty(product.shape, np.int64) if into is None else into, bits)
    if found is not None:
        return found
    acc: NDArray[np.int64] = np.empty(product.shape, np.int64)
    dtype = None if integers_wanted() else product.exact_type()
    if dtype is None:
        _by_steps(product, acc)
        kept = wrapped(acc, bits)
        return Exact(kept, not np.array_equal(kept, acc), "integer_int64")
    floats = product.by_blas(dtype)
    arguments = (floats.reshape(-1), dtype is np.float32, 64 - bits, acc.reshape(-1))
    reduced = _threads.run(convert.to_int64, acc.size, _threads.GRAIN, *arguments)
    return Exact(acc, reduced, f"blas_{np.dtype(dtype).name}")


def wrapped(exact: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The low `bits` bits of each value, as two's complement."""
    drop = np.int64(64 - bits)
    return (exact << drop) >> drop


class WordKernel(NamedTuple):
    """A way to multiply words: its name, the layout of its words, and its loops over tiles with their first arguments.

    `prefixes` is a loop too, of bytes alone; `together` says how many blocks of rows are taken at once.
    """

    name: str
    parts: Parts
    tiles: Callable[..., bool]
    options: tuple[Any, ...]
    together: int
    prefixes: Callable[..., int] | None

    def tiles_of(self, batch: int, rows: int, columns: int) -> tuple[int, int, int]:
        """Numbers of tiles: of matrices in the batch, of panels, and of blocks of rows."""
        return batch, -(-columns // COLUMNS), -(-rows // ROWS)


_DOT = WordKernel("dot_int8", BYTES, exact.exact_tiles, (True,), 1, prefix.dot_prefixes)
_MATRIX = WordKernel("matrix_int8", BYTES, matrix.matrix_tiles, (), matrix.BLOCKS, prefix.matrix_prefixes)
_PAIRS = WordKernel("dot_int16", PAIRS, exact.exact_tiles, (False,), 1, None)


def word_kernels() -> list[WordKernel]:
    """Ways that this processor has instructions for, beside those of a matrix unit; the fastest first."""
    return [_DOT] * machine.DOT + [_PAIRS] * machine.PAIRS


class WordOperands(NamedTuple):
    """Both operands in words for a kernel, and the pairs of planes whose products sum to theirs (see `shift_terms`)."""

    kernel: WordKernel
    left: Planes
    right: Planes
    terms: NDArray[np.int64]


class _Call(NamedTuple):
    """A call that is prepared: kernel, tiles in the order that suits it, least tiles per thread, and further arguments.

    The kernel takes `arguments` after its options and the tiles, and before the result.
    """

    kernel: WordKernel
    tiles: NDArray[np.int64]
    grain: int
    arguments: tuple[Any, ...]


def as_bytes(product: Product) -> WordOperands | None:
    """The operands in words of four bytes.

    None if the processor has no instruction for them, a mantissa is no byte, shifts are too far, or there is no output.
    """
    return _in_words(product, _MATRIX if machine.MATRIX else _DOT) if machine.DOT else None


def _as_pairs(product: Product) -> WordOperands | None:
    """The operands in words of two int16.

    None if there is no instruction for them, they do not fit, or floats are faster: an instruction for pairs takes
    twice as many products as one for float32 and four times those of float64, and each pair of planes is a product.
    """
    if not machine.PAIRS:
        return None
    terms = number_of_planes(product.left, PAIRS) * number_of_planes(product.right, PAIRS)
    if terms > 2 or (terms == 2 and not integers_wanted() and product.exact_type() is np.float32):
        return None
    return _in_words(product, _PAIRS)


def _in_words(product: Product, kernel: WordKernel) -> WordOperands | None:
    if not product.outputs:
        return None
    left = left_planes(product.left, product.shape[1], kernel.parts)
    right = right_planes(product.right, kernel.parts)
    if left is None or right is None:
        return None
    terms = shift_terms(left.shifts, right.shifts)
    return None if terms is None else WordOperands(kernel, left, right, terms)


def by_words(
    product: Product, acc: NDArray[np.int64], bits: int = 63, which: NDArray[np.int64] | None = None
) -> Exact | None:
    """Exact sums by products of bytes or of int16, put into `acc`.

    A mantissa of 8 bits is a byte, and a twin code has one per range, so the product is a sum of one product of bytes
    per pair of ranges, each shifted (PTQ4ViT, Eq. 5, with the shift after the sum). Left mantissas that can be negative
    are raised by 128 to be unsigned, or by the zero point; what that adds, a multiple of the sum of a column, is
    subtracted at the end. Right ones that are no signed bytes are lowered, which adds a multiple of the sum of a row.
    Wider ones are int16. The machine computes mod 2**32. Reduction mod 2**32 is a ring homomorphism, so the result is
    right mod 2**32 even where intermediate sums wrap: it is exact if it fits 32 bits, and otherwise its low 32 bits
    are right.

    Parameters
    ----------
    product : Product
        What to multiply.
    acc : int64 or int32 array
        Where to put it, [batch, M, N].
    bits : int, optional
        How many bits to keep.
    which : int64 array, optional
        The tiles to compute; all of them if None.

    Returns
    -------
    Exact or None
        None if the processor has no such instruction, a mantissa does not fit, or the result could be wrong.
    """
    if not (bits <= 32 or product.is_below(INT32_MAX)):
        return None
    call = product.make("by_words", _prepared, product)
    if call is None:
        return None
    kernel, tiles, least, arguments = call
    if which is None:
        which = tiles
    reduced = _threads.run(kernel.tiles, len(which), least, *kernel.options, which, *arguments, 64 - bits, acc)
    return Exact(acc, reduced, kernel.name)


def _prepared(product: Product) -> _Call | None:
    operands = as_bytes(product) or _as_pairs(product)
    if operands is None:
        return None
    kernel, left, right, terms = operands
    tiles = all_tiles(product.tiles, kernel.together if right.values.nbytes <= CACHE_BYTES else None)
    correction = offset_sums(product.right, kernel.parts, left.offsets, left.shifts)
    offset = right.offsets[0]  # of several planes none has one
    lines = row_sums(product.left, product.shape[1], offset) if offset else np.zeros((0, 0), np.int32)
    return _Call(kernel, tiles, grain(product), (product.pairs, terms, left.values, right.values, correction, lines))


# Two are kept per shape of a layer, and numba would compile kernels again for arrays that cannot be written to.
@lru_cache(maxsize=256)
def all_tiles(numbers: tuple[int, int, int], together: int | None = None) -> NDArray[np.int64]:
    """All tiles: panel by panel, or in each panel only so many blocks of rows at a time.

    Where the right operand stays in the cache, few blocks at a time write the result in one stream.
    """
    tiles = np.arange(math.prod(numbers))
    if together is None:
        return tiles
    batch, panel, block = np.unravel_index(tiles, numbers)
    return np.lexsort((block, panel, block // together, batch))


@lru_cache(maxsize=256)
def shift_terms(left: tuple[int, ...], right: tuple[int, ...]) -> NDArray[np.int64] | None:
    """Pairs of planes by falling shift, with how far the sum is shifted before each; None if that is 32 or more."""
    pairs = sorted(((x + w, i, j) for i, x in enumerate(left) for j, w in enumerate(right)), key=lambda t: (-t[0], t))
    before = [0, *(pairs[t][0] - pairs[t + 1][0] for t in range(len(pairs) - 1))]
    if pairs[-1][0] != 0 or max(before) > 31:
        return None
    return np.array([(i, j, shift) for (_, i, j), shift in zip(pairs, before, strict=True)], np.int64)


def _by_steps(product: Product, acc: NDArray[np.int64]) -> None:
    """The exact product in int64, for sums that no float type holds."""
    tiles = all_tiles(product.tiles)
    strips, panels = product.left.strips(np.int64, product.shape[1]), product.right.panels(np.int64)
    limits = [np.int64(sign * INT64_MAX) for sign in (-1, 1, -1, 1)]
    none: Any = np.zeros((0, 0, 0), np.int32)
    arguments = (
        tiles,
        product.pairs,
        strips,
        panels,
        max(product.depth, 1),
        lanes.SATURATE,
        *limits,
        acc,
        False,
        none,
    )
    _threads.run(accumulate.lane_tiles, len(tiles), grain(product), *arguments)
