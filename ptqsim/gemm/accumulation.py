"""What each register holds in the end: by the exact product where a bound allows it, step by step elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptqsim.datapath.spec import Accumulator, OverflowMode, bits_for
from ptqsim.gemm import stepwise
from ptqsim.gemm.product import Product
from ptqsim.gemm.result import Certificate
from ptqsim.gemm.stepwise import Groups
from ptqsim.kernels import accumulate as kernel_shape

# Before the sums of magnitudes of all outputs are computed, those of a few rows of a few matrices are: if more of their
# parts than this share have a doubtful output, all tiles are stepped.
SAMPLED_ROWS, SAMPLED_MATRICES, HOPELESS_SHARE = 8, 4, 0.6


@dataclass(frozen=True, slots=True)
class Accumulated:
    """The registers of one product.

    Parameters
    ----------
    product
        What was accumulated.
    acc
        int64 [batch, M, N].
    events
        int32 [batch, M, N], number of events per output; None where there are none or they were not counted.
    kernel, certificate
        What ran, and why it may.
    exact
        Whether every register equals the unbounded sum, or how to find out.
    """

    product: Product
    acc: NDArray[np.int64]
    events: NDArray[np.int32] | None
    kernel: str
    certificate: Certificate
    exact: bool | Callable[[], bool]


def exact_product(product: Product) -> tuple[NDArray[np.int64], str]:
    """The product in unbounded integers, and the name of the kernel."""
    dtype = product.exact_type()
    if dtype is None:
        return stepwise.exact_integer(product), "integer_int64"
    return product.by_blas(dtype).astype(np.int64), f"blas_{np.dtype(dtype).name}"


def wrapped(exact: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The low `bits` bits of each value, as two's complement."""
    drop = np.int64(64 - bits)
    return (exact << drop) >> drop


def accumulate(product: Product, accumulator: Accumulator, statistics: bool) -> Accumulated:
    """Accumulate every output of one product.

    Three facts allow the exact product in place of steps.

    1. *No overflow.* If no sum over a subset of an output's products leaves the register, no addition is changed by it,
       in any overflow mode and order, and the register holds the exact sum.
    2. *Wrapping is a ring homomorphism.* Reduction mod 2**P commutes with addition: ((x mod n) + y) mod n =
       (x + y) mod n. By induction over the steps, wrapping after every one of them leaves the exact sum mod 2**P. The
       same holds through a tile register of P bits or more, as reducing mod a multiple of 2**P first changes nothing.
    3. *Output by output.* Let S = sum |a_l w_l| and T = sum a_l w_l. The positive products of an output sum to
       (S + T) / 2 and the negative ones to (T - S) / 2, and every sum over a subset lies between the two. So an output
       with S + |T| <= 2 * (2**(P-1) - 1) falls under fact 1.
    """
    groups = Groups.of(accumulator, product.depth)
    limit = (1 << (groups.narrowest - 1)) - 1
    outputs = int(np.prod(product.shape))
    if product.bound <= limit:
        exact, kernel = exact_product(product)
        why = f"no sum of products exceeds {product.bound} in magnitude (largest norms of rows and columns)"
        certificate = Certificate("norms", bits_for(-product.bound, product.bound), outputs, outputs, why)
        return Accumulated(product, exact, None, kernel, certificate, True)
    wraps = accumulator.overflow == OverflowMode.WRAP
    if wraps and not statistics and groups.homomorphic:
        exact, kernel = exact_product(product)
        acc = wrapped(exact, accumulator.bits)
        why = f"wrapping at every step equals one reduction of the exact sum mod 2**{accumulator.bits}"
        certificate = Certificate("ring_homomorphism", accumulator.bits, 0, outputs, why)
        return Accumulated(product, acc, None, kernel, certificate, np.array_equal(acc, exact))
    return _stepped(product, accumulator, groups, limit, statistics)


def _stepped(product: Product, accumulator: Accumulator, groups: Groups, limit: int, statistics: bool) -> Accumulated:
    outputs = int(np.prod(product.shape))
    tiles = product.tiles()
    exact, uncertain = None, tiles
    dtype = product.exact_type()
    if dtype is not None and not _hopeless(product, dtype, limit):
        exact_float = product.by_blas(dtype)
        doubtful = product.by_blas(dtype, magnitudes=True) + np.abs(exact_float) > 2 * limit
        uncertain = tiles[_with_any(doubtful, tiles)]
        exact = exact_float.astype(np.int64)
    acc = np.empty(product.shape, np.int64) if exact is None else exact.copy()
    counting = statistics or accumulator.overflow == OverflowMode.TRAP
    events = np.zeros(product.shape, np.int32) if counting else None
    run = stepwise.wrap if accumulator.overflow == OverflowMode.WRAP else stepwise.saturate
    stepped = [run(product, groups, uncertain, acc, events)] if len(uncertain) else []
    certified = 0
    if exact is not None:
        certified = outputs - int(np.count_nonzero(doubtful))
        stepped.insert(0, f"blas_{np.dtype(dtype).name}")
    kernel = "+".join(stepped)
    why = f"{certified} of {outputs} outputs have no sum of products beyond {limit}; the others ran step by step"
    name = "sums_of_magnitudes" if certified else "step_by_step"
    certificate = Certificate(name, groups.narrowest, certified, outputs, why)
    return Accumulated(product, acc, events, kernel, certificate, _is_exact(acc, exact, product))


def _is_exact(acc: NDArray[np.int64], exact: NDArray[np.int64] | None, product: Product) -> bool | Callable[[], bool]:
    """Whether the registers hold the exact sums; found out later, on demand, if those are not known."""
    if exact is not None:
        return np.array_equal(acc, exact)
    return lambda: np.array_equal(acc, exact_product(product)[0])


def _hopeless(product: Product, dtype: type[np.float32] | type[np.float64], limit: int) -> bool:
    """Whether a sample of rows says that fact 3 would spare too few tiles to pay for its two products.

    A question of speed alone: the result is the same either way.
    """
    batch, rows, columns = product.shape
    if batch * rows <= 4 * SAMPLED_ROWS:
        return False
    starts = np.arange(0, columns, kernel_shape.COLUMNS)
    chosen = np.unique(np.linspace(0, rows - 1, SAMPLED_ROWS).astype(int))
    shares = []
    for left, right in product.pairs[np.unique(np.linspace(0, batch - 1, SAMPLED_MATRICES).astype(int))]:
        a, b = product.a[left, chosen], product.b[right]
        sums = np.abs(a).astype(dtype, copy=False) @ np.abs(b).astype(dtype, copy=False)
        shares.append(np.mean(np.logical_or.reduceat(sums > limit, starts, axis=1)))
    return bool(np.mean(shares) > HOPELESS_SHARE)


def _with_any(doubtful: NDArray[np.bool_], tiles: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which tiles hold a doubtful output."""
    rows = np.arange(0, doubtful.shape[1], kernel_shape.ROWS)
    columns = np.arange(0, doubtful.shape[2], kernel_shape.COLUMNS)
    by_rows = np.logical_or.reduceat(doubtful, rows, axis=1)
    by_tile = np.logical_or.reduceat(by_rows, columns, axis=2)
    return by_tile[tiles[:, 0], tiles[:, 3] // kernel_shape.ROWS, tiles[:, 4]]
