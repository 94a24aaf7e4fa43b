"""Final values of all registers: by the exact product where a bound allows it, step by step elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.spec import Accumulator, OverflowMode, bits_for
from ptqsim.gemm.correction import Correction
from ptqsim.gemm.exact import all_tiles, by_words, exact_product
from ptqsim.gemm.product import Product
from ptqsim.gemm.results.result import Certificate
from ptqsim.gemm.steps import stepwise
from ptqsim.gemm.steps.groups import Groups

# Share of the tiles that have to be certified for one more exact product of everything to pay.
_WORTH_A_PRODUCT = 0.5


class Accumulated(NamedTuple):
    """The registers of one product.

    Parameters
    ----------
    product : Product
        What was accumulated.
    acc : int64 array, or the one that was given
        [batch, M, N].
    events : int32 array or None
        int32 [batch, M, N], number of events per output (under ``trap``: not zero where there was one); None where
        there are none or they were not counted.
    kernel, certificate : str and Certificate
        What ran, and why it may.
    exact : bool or callable
        Whether every register equals the unbounded sum, or how to find out.
    correction : Correction or None
        That of the accumulation.
    """

    product: Product
    acc: NDArray[np.int64]
    events: NDArray[np.int32] | None
    kernel: str
    certificate: Certificate
    exact: bool | Callable[[], bool]
    correction: Correction | None = None


class Accumulation(NamedTuple):
    """A product and the accumulator it goes to, with what is known before any code is looked at.

    Parameters
    ----------
    product : Product
        What to accumulate.
    accumulator : Accumulator
        The accumulator.
    groups : Groups
        How the depth is cut.
    limit : int
        The largest sum that none of the registers changes.
    by_formats : Certificate or None
        Evidence that no codes of these formats reach that limit, if so.
    correction : Correction or None
        The products that are accumulated in place of `product`, and what makes up for them; None if there are none.
    """

    product: Product
    accumulator: Accumulator
    groups: Groups
    limit: int
    by_formats: Certificate | None
    correction: Correction | None = None

    @classmethod
    def of(cls, product: Product, accumulator: Accumulator, correction: Correction | None = None) -> Accumulation:
        """The accumulation of a product in an accumulator."""
        groups, bound = Groups.of(accumulator, product.depth), product.datatype_bound
        limit = (1 << (groups.narrowest - 1)) - 1
        if correction is not None:
            largest = correction.fits_by_formats(groups)
            evidence = None if largest is None else _no_overflow(largest, product.outputs, product.depth)
            return cls(product, accumulator, groups, limit, evidence, correction)
        certificate = _no_overflow(bound, product.outputs, product.depth) if bound <= limit else None
        return cls(product, accumulator, groups, limit, certificate)


def accumulate(accumulation: Accumulation, statistics: bool, into: NDArray[Any] | None = None) -> Accumulated:
    """Accumulate every output of one product.

    The registers are put into `into` [batch, M, N] if it is given, int32 for what fits it, and if that is as fast.

    Two facts allow the exact product in place of steps.

    1. *No overflow.* If no sum over a subset of an output's products leaves the register, no addition is changed by it,
       in any overflow mode and order, and the register holds the exact sum. Bounds on such sums come from the formats
       and the depth, from the largest norms of rows and columns, and from those of each tile of outputs apart.
    2. *Wrapping is a ring homomorphism.* Reduction mod 2**P commutes with addition: ((x mod n) + y) mod n =
       (x + y) mod n. By induction over the steps, wrapping after every one of them leaves the exact sum mod 2**P. The
       same holds through a wrapping tile register of P bits or more, as reducing mod a multiple of 2**P first changes
       nothing, and through any tile register that no tile of these products overflows.
    """
    product, accumulator, groups, limit, certificate, correction = accumulation
    if certificate is None:
        # Where wrapping is one reduction at the end, no norm has to be found.
        wraps = accumulator.overflow == OverflowMode.WRAP and not statistics
        if wraps and (groups.homomorphic or groups.tiles_fit(correction.product if correction else product)):
            found = exact_product(product, accumulator.bits, into)
            certificate = _homomorphism(accumulator.bits, product.outputs, None if groups.homomorphic else groups)
            exact = _is_exact(product, found.acc)
            return Accumulated(product, found.acc, None, found.kernel, certificate, exact, correction)
        bound = product.bound if product.bound <= limit else None
        if correction is not None:
            bound = correction.fits_by_norms(groups)
        if bound is None:
            if correction is not None:
                return _corrected(accumulation, correction, statistics)
            return _stepped(product, accumulator, groups, limit, statistics, into)
        certificate = _no_overflow(bound, product.outputs, None)
    found = exact_product(product, into=into)
    return Accumulated(product, found.acc, None, found.kernel, certificate, True, correction)


@lru_cache(maxsize=256)
def _no_overflow(bound: int, outputs: int, depth: int | None) -> Certificate:
    """Evidence that no sum exceeds a bound: of the formats at some depth, or of the norms of rows and columns."""
    by_norms = depth is None
    reason = "largest norms of rows and columns" if by_norms else f"any codes of these formats at depth {depth}"
    why = f"no sum of products exceeds {bound} in magnitude ({reason})"
    return Certificate("norms" if by_norms else "datatype", bits_for(-bound, bound), outputs, outputs, why)


@lru_cache(maxsize=256)
def _homomorphism(bits: int, outputs: int, tiles: Groups | None) -> Certificate:
    """Evidence that one reduction is enough, perhaps because no tile overflows."""
    why = f"wrapping at every step equals one reduction of the exact sum mod 2**{bits}"
    if tiles is not None:
        why += f", as no tile of {tiles.group} products leaves its register of {tiles.inner_bits} bits"
    return Certificate("ring_homomorphism", bits, 0, outputs, why)


@lru_cache(maxsize=256)
def _by_tiles(bits: int, limit: int, count: int, outputs: int) -> Certificate:
    """Evidence that some outputs lie in tiles none of whose sums exceeds a limit."""
    why = (
        f"{count} of {outputs} outputs lie in tiles with no sum of products beyond {limit} (norms of their rows and "
        "columns); the others ran step by step"
    )
    return Certificate("norms_of_tiles" if count else "step_by_step", bits, count, outputs, why)


def _stepped(
    product: Product, accumulator: Accumulator, groups: Groups, limit: int, statistics: bool, into: NDArray[Any] | None
) -> Accumulated:  # fmt: skip
    certified, every = product.tiles_below(limit), math.prod(product.tiles)
    acc: NDArray[Any] = np.empty(product.shape, np.int64) if into is None else into
    kernels = []
    if len(certified):
        found = by_words(product, acc, which=certified)
        if found is not None:
            kernels.append(found.kernel)
        elif len(certified) >= _WORTH_A_PRODUCT * every:
            found = exact_product(product)
            acc = found.acc
            kernels.append(found.kernel)
        else:
            certified = certified[:0]
    counting = statistics or accumulator.overflow == OverflowMode.TRAP
    events = np.zeros(product.shape, np.int32) if counting else None
    if len(certified) < every:
        doubtful = all_tiles(product.tiles)
        if len(certified):
            doubtful = np.delete(doubtful, certified)
        overflow = OverflowMode(accumulator.overflow)
        kernels.append(stepwise.run(product, groups, overflow, doubtful, acc, events))
    count = product.outputs_in(certified) if len(certified) else 0
    certificate = _by_tiles(groups.narrowest, limit, count, product.outputs)
    exact = True if len(certified) == every else _is_exact(product, acc)
    return Accumulated(product, acc, events, "+".join(kernels), certificate, exact)


def _corrected(accumulation: Accumulation, correction: Correction, statistics: bool) -> Accumulated:
    """The steps of a correction, of every output."""
    product, accumulator, groups, limit, *_ = accumulation
    counting = statistics or accumulator.overflow == OverflowMode.TRAP
    acc, events = np.empty(product.shape, np.int64), np.zeros(product.shape, np.int32) if counting else None
    kernel = correction.step(accumulator, groups, acc, events)
    certificate = _by_tiles(groups.narrowest, limit, 0, product.outputs)
    return Accumulated(product, acc, events, kernel, certificate, _is_exact(product, acc), correction)


def _is_exact(product: Product, acc: NDArray[np.int64]) -> Callable[[], bool]:
    """True if the registers hold the exact sums; computed on demand."""
    return lambda: np.array_equal(acc, exact_product(product).acc)
