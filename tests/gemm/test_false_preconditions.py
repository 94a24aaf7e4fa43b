"""Attempts to get a fast path to run where it may not: the result is the reference's, and the certificate is no lie.

What a fast path needs is worked out here from the aligned operands alone, in unbounded integers, and compared with what
the result says of itself. No name of a kernel decides anything, except that a product in float32 or float64 is only
reported where its sums fit the type.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import gemm
from ptqsim.gemm import product
from ptqsim.gemm.operands import operand as operands

SIXTEEN = pq.Uniform(16, 1.0)
FLOATS = {"blas_float32": 2**24, "blas_float64": 2**53}


def array(values: Any, number_format: pq.NumberFormat = SIXTEEN) -> pq.QuantizedArray:
    return pq.quantize(np.asarray(values, np.float64), number_format)


def magnitudes(a: pq.QuantizedArray, b: pq.QuantizedArray) -> int:
    """The largest sum of the magnitudes of one output's products."""
    left, right = np.abs(a.aligned()).astype(object), np.abs(b.aligned()).astype(object)
    return int(np.max(left @ right, initial=0)) if left.shape[-1] else 0


def largest_of_tiles(a: pq.QuantizedArray, b: pq.QuantizedArray, tile: int) -> int:
    """The largest sum of the magnitudes of one tile's products."""
    return max(magnitudes(a[:, k : k + tile], b[k : k + tile]) for k in range(0, a.shape[1], tile))


def checked(a: pq.QuantizedArray, b: pq.QuantizedArray, accumulator: pq.Accumulator, statistics: bool = True) -> Any:
    """The result, after it was compared with the reference and its certificate with the operands."""
    result = pq.matmul(a, b, accumulator, statistics)
    assert result.acc.tolist() == pq.reference.matmul(a, b, accumulator)
    largest = magnitudes(a, b)
    order = accumulator.order
    narrowest = min(accumulator.bits, order.inner_bits) if isinstance(order, pq.Split) else accumulator.bits
    if result.certificate.name == "norms":
        assert largest < 2 ** (narrowest - 1)
        assert result.certificate.certified == result.certificate.outputs
        assert result.overflow is None or result.overflow.outputs == 0
    if result.certificate.name == "ring_homomorphism":
        assert accumulator.overflow == "wrap"
        if isinstance(order, pq.Split) and (order.inner_overflow == "saturate" or order.inner_bits < accumulator.bits):
            assert largest_of_tiles(a, b, order.group) < 2 ** (order.inner_bits - 1)
    for kernel in result.kernel.split("+"):
        assert largest <= FLOATS.get(kernel, largest)
    return result


ORDERS = [
    pq.Sequential(), pq.Tree(2), pq.Tree(3), pq.Split(2, 63), pq.Split(2, 12), pq.Split(2, 12, "wrap"),
    pq.Split(2, 12, "saturate"),
]  # fmt: skip


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("sign", [1, -1])
def test_registers_just_wide_enough_and_one_bit_less(order: Any, overflow: str, sign: int) -> None:
    """Sums of exactly 2**(P-1) - 1, and of one more, in both directions and at every width up to 24."""
    for bits in range(3, 25):
        for excess in (0, 1):
            last = 2 ** (bits - 1) - 1 + excess
            parts = [min(last, 2**14)] * (last // 2**14) + [last % 2**14]
            a, b = array([parts]), array([[sign]] * len(parts))
            result = checked(a, b, pq.Accumulator(bits, overflow, order))
            holds = excess == 0 or sign < 0
            narrow = isinstance(order, pq.Split) and order.inner_bits < bits
            if not narrow:
                assert result.exact == holds
            assert result.certificate.name != "norms" or excess == 0
            checked(a, b, pq.Accumulator(bits, overflow, order), statistics=False)


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("last", [2**24, 2**53], ids=["float32", "float64"])
def test_sums_at_and_beyond_what_a_float_holds(last: int, overflow: str) -> None:
    """last - 1, last, last + 1 and last + 3, all odd but one: a float type beyond its end would round them."""
    twin, flag = pq.TwinSoftmax(16, 22), 1 << 15
    for difference in (-1, 0, 1, 3):
        wanted = last + difference
        # Units of 2**36, of 2**22 and of 2**14, and the rest; the first two are codes of R2.
        steps, rest = divmod(wanted, 2**36)
        weights = [2**14] * (steps // 2**14) + [steps % 2**14, 1, (rest % 2**22) >> 14, 1]
        codes = [flag + 2**14] * (len(weights) - 3) + [flag + (rest >> 22), 2**14, rest % 2**14]
        a, b = pq.QuantizedArray(np.array([codes]), twin), array([[weight] for weight in weights])
        assert int((a.aligned().astype(object) @ b.aligned().astype(object))[0, 0]) == wanted
        for bits in (60, 54, 53, 26, 25, 24, 12):
            for statistics in (True, False):
                checked(a, b, pq.Accumulator(bits, overflow), statistics)


def test_cancelling_sums_are_no_excuse(rng: np.random.Generator) -> None:
    """The sum is zero and every prefix is large: what counts is any subset of the products."""
    values = rng.integers(100, 128, 64)
    a = array(np.stack([np.concatenate([values, -values])] * 3), pq.Uniform(8, 1.0))
    b = array(np.ones((128, 70)), pq.Uniform(8, 1.0))
    for bits in (8, 10, 13, 14):
        for overflow in ("wrap", "saturate"):
            result = checked(a, b, pq.Accumulator(bits, overflow))
            assert bits == 14 or result.certificate.certified == 0
    with pytest.raises(pq.AccumulatorOverflowError):
        pq.matmul(a, b, pq.Accumulator(13, "trap"))


def test_one_output_that_does_not_fit_among_many_that_do() -> None:
    """The tile that it is in is stepped, wherever it lies; its neighbors beyond the last row and column are not."""
    for row, column in ((0, 0), (4, 63), (3, 64), (8, 129), (8, 0)):
        left, right = np.ones((9, 8)), np.ones((8, 130))
        left[row], right[:, column] = 16, 16
        a, b = array(left), array(right)
        for order in ORDERS[:4]:
            for overflow in ("wrap", "saturate"):
                result = checked(a, b, pq.Accumulator(12, overflow, order))
                assert result.certificate.certified < result.certificate.outputs
                assert result.overflow.outputs == 1
                assert result.overflow.first.element == (row, column)


@pytest.mark.parametrize("alignment", ["product", "deferred"])
def test_narrow_tiles_under_wrap(alignment: str, rng: np.random.Generator) -> None:
    """A tile register narrower than the accumulator drops bits: no reduction at the end replaces it."""
    twin = pq.TwinGELU(6, 3, 1.0)
    a = pq.QuantizedArray(rng.integers(0, 64, (3, 24)), twin)
    b = pq.QuantizedArray(rng.integers(0, 64, (24, 66)), pq.Uniform(6, 1.0))
    exact_there = 0
    for inner_bits in range(4, 20, 2):
        accumulator = pq.Accumulator(12, "wrap", pq.Split(4, inner_bits), alignment)
        result = pq.matmul(a, b, accumulator, statistics=False)
        assert result.acc.tolist() == pq.reference.matmul(a, b, accumulator)
        if inner_bits < 12:
            assert "ring_homomorphism" not in result.certificate.name
        exact_there += np.array_equal(result.acc, pq.matmul(a, b, pq.Accumulator(12, "wrap", alignment=alignment)).acc)
    assert 4 <= exact_there < 8


def test_codes_that_change_after_their_bounds_are_known() -> None:
    """Small codes, a product that certifies them, then large ones in the same memory."""
    memory = np.full((3, 40), 1, np.uint8)
    a = pq.QuantizedArray(memory, pq.Uniform(8, 1.0))
    b = pq.QuantizedArray(np.full((40, 5), 127, np.uint8), pq.Uniform(8, 1.0))
    accumulator = pq.Accumulator(14, "saturate")
    before = checked(a, b, accumulator)
    assert before.certificate.name == "norms"
    memory[:] = 127
    assert np.array_equal(checked(a, b, accumulator).acc, before.acc)
    changed = checked(pq.QuantizedArray(memory, a.format), b, accumulator)
    assert changed.certificate.certified == 0
    with pytest.raises(ValueError, match="read-only"):
        a.codes[0, 0] = 255
    with pytest.raises(AttributeError):
        a.codes = memory  # type: ignore[misc]


def test_the_same_codes_in_another_format_are_another_operand() -> None:
    codes = pq.quantize(np.full((2, 30), 127.0), pq.Uniform(8, 1.0)).codes
    b = array(np.full((30, 3), 100.0))
    accumulator = pq.Accumulator(20, "saturate")
    for number_format in (pq.Uniform(8, 1.0), pq.TwinSoftmax(8, 9), pq.TwinGELU(8, 9, 1.0)):
        checked(pq.QuantizedArray(codes, number_format), b, accumulator)
        checked(pq.QuantizedArray(codes | 128, number_format), b, accumulator)


class Boasting(pq.Uniform):
    """A format that calls its values smaller than they are."""

    __slots__ = ()

    @property
    def aligned_max(self) -> int:
        return 1

    @property
    def aligned_min(self) -> int:
        return 0


def test_a_format_that_lies_about_its_range() -> None:
    number_format = Boasting(8, 1.0)
    a = pq.QuantizedArray(np.full((3, 50), 127), number_format)
    for overflow in ("wrap", "saturate"):
        result = checked(a, a.swapaxes(0, 1), pq.Accumulator(14, overflow))
        assert result.certificate.certified == 0


def test_nothing_but_codes_is_taken() -> None:
    """Operands with norms of their own cannot be handed in: there is no public way to make one."""
    a = array([[1.0]])
    for strange in (a.codes, a.aligned(), [[1]], gemm, object()):
        for pair in ((strange, a), (a, strange)):
            with pytest.raises(ValueError, match="must be a QuantizedArray"):
                pq.matmul(*pair, pq.Accumulator())
    inner = {
        name
        for module in (operands, product)
        for name, kind in vars(module).items()
        if isinstance(kind, type) and kind.__module__ == module.__name__
    }
    assert {"Norms", "PreparedOperand", "Product"} <= inner
    assert inner.isdisjoint((*gemm.__all__, *vars(gemm), *vars(pq)))


@pytest.mark.parametrize("shape", [(0, 4, 5), (3, 0, 5), (3, 4, 0), (1, 1, 1), (5, 3, 65), (4, 2, 64)])
def test_shapes_that_are_no_tile(shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    rows, depth, columns = shape
    for bits in (8, 14, 40):
        for order in ORDERS:
            a = pq.QuantizedArray(rng.integers(0, 256, (rows, depth)), pq.Uniform(8, 1.0))
            b = pq.QuantizedArray(rng.integers(0, 256, (depth, columns)), pq.Uniform(8, 1.0))
            for overflow in ("wrap", "saturate"):
                result = pq.matmul(a, b, pq.Accumulator(bits, overflow, order))
                if 0 in shape:
                    assert result.acc.shape == (rows, columns)
                    assert not result.acc.any()
                else:
                    assert result.acc.tolist() == pq.reference.matmul(a, b, pq.Accumulator(bits, overflow, order))


def test_layouts_that_are_not_contiguous(rng: np.random.Generator) -> None:
    """Steps over rows and columns, backward, transposed, broadcast: the bound is that of the elements shown."""
    large = rng.integers(0, 256, (12, 60), dtype=np.uint8)
    large[::2] = rng.integers(0, 3, (6, 60))  # every other row is small, and certified if only those are seen
    number_format = pq.Uniform(8, 1.0)
    whole = pq.QuantizedArray(large, number_format)
    b = pq.QuantizedArray(rng.integers(0, 256, (60, 7), dtype=np.uint8), number_format)
    small, backward = whole[::2], whole[::-1, ::-1]
    column_major = pq.QuantizedArray(np.asfortranarray(large), number_format)
    repeated = pq.QuantizedArray(np.broadcast_to(large[3], (4, 60)), number_format)
    for bits in (12, 15, 16, 40):
        for overflow in ("wrap", "saturate"):
            accumulator = pq.Accumulator(bits, overflow)
            for a in (whole, small, backward, column_major, repeated, whole[3:4], whole[:, ::-1]):
                checked(a, b, accumulator)
                checked(b.swapaxes(0, 1), a.swapaxes(0, 1), accumulator)
            batch = pq.QuantizedArray(np.broadcast_to(large, (3, 12, 60)), number_format)
            result = pq.matmul(batch, b, accumulator)
            assert all(np.array_equal(part, pq.matmul(whole, b, accumulator).acc) for part in result.acc)
