"""The public function: shapes, layouts, certificates and refusals."""

from __future__ import annotations

import gc
import pickle
import weakref

import numpy as np
import pytest

import ptqsim as pq
from ptqsim.gemm.operands import operand as operands
from ptqsim.gemm.operands.operand import FLOAT32_EXACT, FLOAT64_EXACT
from ptqsim.kernels.runtime import machine
from tests.oracle import stepping

UNIFORM = pq.Uniform(8, 0.02)


def random(
    shape: tuple[int, ...], rng: np.random.Generator, number_format: pq.NumberFormat = UNIFORM
) -> pq.QuantizedArray:
    return pq.QuantizedArray(rng.integers(0, number_format.code_count, shape), number_format)


@pytest.mark.parametrize(
    ("a_shape", "b_shape"),
    [
        ((2, 3, 5, 7), (2, 3, 7, 4)),
        ((2, 3, 5, 7), (7, 4)),
        ((5, 7), (2, 3, 7, 4)),
        ((2, 1, 5, 7), (3, 7, 4)),
        ((1, 5, 7), (1, 7, 4)),
        ((4, 3, 70, 7), (4, 1, 7, 300)),
    ],
)
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_leading_dimensions_broadcast(
    a_shape: tuple[int, ...], b_shape: tuple[int, ...], overflow: str, rng: np.random.Generator
) -> None:
    a, b = random(a_shape, rng), random(b_shape, rng)
    for bits in (14, 32):
        accumulator = pq.Accumulator(bits, overflow)
        expected, events, _ = stepping.run(a.aligned(), b.aligned(), accumulator)
        result = pq.matmul(a, b, accumulator)
        assert result.acc.dtype == np.int64
        assert np.array_equal(result.acc, expected)
        assert result.overflow is not None
        assert result.overflow.events == events.sum()


def test_layout_does_not_matter(rng: np.random.Generator) -> None:
    a, b = random((6, 40), rng), random((40, 33), rng)
    accumulator = pq.Accumulator(15, "saturate")
    expected = pq.matmul(a, b, accumulator).acc
    turned = pq.QuantizedArray(np.asfortranarray(b.codes), UNIFORM)
    strided = pq.QuantizedArray(np.repeat(b.codes, 2, axis=1)[:, ::2], UNIFORM)
    for other in (turned, strided, pq.QuantizedArray(b.codes.T.copy(), UNIFORM).swapaxes(0, 1)):
        assert np.array_equal(pq.matmul(a, other, accumulator).acc, expected)
    flipped = pq.QuantizedArray(np.ascontiguousarray(a.codes[:, ::-1])[:, ::-1], UNIFORM)
    assert np.array_equal(pq.matmul(flipped, b, accumulator).acc, expected)


@pytest.mark.parametrize("shape", [(0, 5, 3), (4, 0, 3), (4, 5, 0), (0, 0, 0)])
@pytest.mark.parametrize("overflow", ["wrap", "saturate", "trap"])
@pytest.mark.parametrize("order", [pq.Sequential(), pq.Tree(4), pq.Split(4, 3)], ids=str)
def test_empty(shape: tuple[int, int, int], overflow: str, order: pq.Tree, rng: np.random.Generator) -> None:
    rows, depth, columns = shape
    for alignment in ("product", "deferred"):
        accumulator = pq.Accumulator(4, overflow, order, alignment)
        result = pq.matmul(random((rows, depth), rng), random((depth, columns), rng), accumulator)
        assert result.acc.shape == (rows, columns)
        assert not result.acc.any()
        assert result.exact
        assert result.overflow is not None
        assert (result.overflow.outputs, result.overflow.bits_needed) == (0, 2)
    batch = pq.matmul(random((0, 3, 4), rng), random((4, 2), rng), pq.Accumulator(4))
    assert batch.acc.shape == (0, 3, 2)


def test_threads_do_not_matter(rng: np.random.Generator) -> None:
    a, b = random((3, 50, 96), rng), random((3, 96, 530), rng)
    before = pq.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            pq.set_num_threads(threads)
            assert pq.get_num_threads() == threads
            results += [pq.matmul(a, b, pq.Accumulator(16, overflow)) for overflow in ("wrap", "saturate")]
    finally:
        pq.set_num_threads(before)
    for result, first in zip(results[2:], results * 2, strict=False):
        assert np.array_equal(result.acc, first.acc)
        assert result.overflow == first.overflow
    with pytest.raises(ValueError, match="number of threads must be an integer from 1"):
        pq.set_num_threads(0)


def test_wrap_needs_no_steps(exact_words: str | None) -> None:
    a = pq.quantize(np.full((8, 64), 127), pq.Uniform(8, 1.0))
    result = pq.matmul(a, a.swapaxes(0, 1), pq.Accumulator(16), statistics=False)
    assert result.kernel == (exact_words or "blas_float32")
    assert result.certificate.name == "ring_homomorphism"
    assert not result.exact
    assert np.all(result.acc == stepping.bounded(np.int64(64 * 127 * 127), 16, "wrap"))


def ones(rows: int, columns: int, values: list[int], bits: int = 16) -> pq.QuantizedArray:
    return pq.quantize(np.resize(values, (rows, columns)), pq.Uniform(bits, 1.0))


@pytest.mark.parametrize("order", [pq.Sequential(), pq.Tree(3), pq.Split(5, 63)], ids=str)
def test_certificate_ends_where_the_register_does(order: pq.Sequential) -> None:
    # 8 products of 16 * 16 sum to 2048, which 13 bits hold and 12 (up to 2047) do not.
    a = ones(3, 8, [16])
    for bits, certified in ((13, True), (12, False)):
        result = pq.matmul(a, a.swapaxes(0, 1), pq.Accumulator(bits, "saturate", order))
        assert (result.certificate.certified == 9) == certified
        assert result.exact == certified
        assert np.all(result.acc == (2048 if certified else 2047))
        assert result.overflow is not None
        assert (result.overflow.outputs, result.overflow.bits_needed) == (0 if certified else 9, 13)
        if not certified:
            assert result.overflow.first == ((0, 0), 7)


def test_certificate_output_by_output(rng: np.random.Generator) -> None:
    # One long row in a matrix of short ones: only its outputs need steps.
    a, b = rng.integers(-3, 4, (64, 96)), rng.integers(-100, 100, (96, 600))
    a[10] *= 30
    left, right = pq.quantize(a, pq.Uniform(8, 1.0)), pq.quantize(b, pq.Uniform(8, 1.0))
    for overflow in ("saturate", "wrap"):
        accumulator = pq.Accumulator(15, overflow)
        result = pq.matmul(left, right, accumulator)
        assert result.certificate.name == "norms_of_tiles"
        assert 0 < result.certificate.certified < result.certificate.outputs
        expected, events, _ = stepping.run(a, b, accumulator)
        assert np.array_equal(result.acc, expected)
        assert result.overflow is not None
        assert (result.overflow.outputs, result.overflow.events) == (np.count_nonzero(events), events.sum())
    with pytest.raises(pq.AccumulatorOverflowError) as caught:
        pq.matmul(left, right, pq.Accumulator(15, "trap"))
    prefixes = (a[10, :, None] * b).cumsum(axis=0)
    outside = (prefixes < -(2**14)) | (prefixes >= 2**14)
    column = int(np.flatnonzero(outside.any(axis=0))[0])
    assert caught.value.element == (10, column)
    assert caught.value.step == int(np.flatnonzero(outside[:, column])[0])


def test_float32_ends_where_its_integers_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PAIRS", False)
    # 2**24 = 2**10 products of 2**14 exactly; one unit more needs float64.
    a, b = ones(2, 1024, [128]), ones(1024, 2, [128])
    exact = pq.matmul(a, b, pq.Accumulator(40))
    assert (exact.kernel, exact.acc[0, 0]) == ("blas_float32", FLOAT32_EXACT)
    a, b = ones(2, 1025, [128] * 1024 + [1]), ones(1025, 2, [128, 128])
    more = np.resize([128], (1025, 2))
    more[1024] = 1
    beyond = pq.matmul(a, pq.quantize(more, pq.Uniform(16, 1.0)), pq.Accumulator(40))
    assert (beyond.kernel, beyond.acc[0, 0]) == ("blas_float64", FLOAT32_EXACT + 1)


def test_float64_ends_where_its_integers_do() -> None:
    twin, uniform = pq.TwinSoftmax(16, 22), pq.Uniform(16, 1.0)
    # magnitude 2**14 in R2 is 2**36 aligned; times 2**14, times 8, is 2**53.
    code = (1 << 15) + (1 << 14)
    a = pq.QuantizedArray(np.array([[code] * 7 + [1]]), twin)
    b = pq.quantize(np.array([[2**14]] * 7 + [[1]]), uniform)
    exact = pq.matmul(a, b, pq.Accumulator(60))
    assert (exact.kernel, exact.acc[0, 0]) == ("blas_float64", FLOAT64_EXACT // 8 * 7 + 1)
    a = pq.QuantizedArray(np.array([[code] * 8 + [1]]), twin)
    b = pq.quantize(np.array([[2**14]] * 8 + [[1]]), uniform)
    for overflow in ("wrap", "saturate", "trap"):
        beyond = pq.matmul(a, b, pq.Accumulator(60, overflow))
        assert (beyond.kernel, beyond.acc[0, 0]) == ("integer_int64", FLOAT64_EXACT + 1)


def test_63_bits_and_no_more() -> None:
    twin, uniform = pq.TwinSoftmax(16, 32), pq.Uniform(16, 1.0)
    a = pq.QuantizedArray(np.full((1, 1), 2**16 - 1), twin)
    b = pq.quantize(np.full((1, 1), -(2.0**15)), uniform)
    assert pq.required_bits(twin, uniform, 1) == 63
    for order in (pq.Sequential(), pq.Tree(2), pq.Split(1, 63)):
        for overflow in ("wrap", "saturate", "trap"):
            result = pq.matmul(a, b, pq.Accumulator(63, overflow, order))
            assert result.acc[0, 0] == -((2**15 - 1) << 47)
            assert result.overflow is not None
            assert result.overflow.bits_needed == 63
    two = pq.QuantizedArray(np.full((1, 2), 2**16 - 1), twin)
    with pytest.raises(ValueError, match="could need 64 bits, and 63 are simulated"):
        pq.matmul(two, pq.quantize(np.zeros((2, 1)), uniform), pq.Accumulator(63))
    # Deferred registers are narrow, but an overflowed one shifted by 32 would leave 63 bits.
    with pytest.raises(ValueError, match="could need"):
        pq.matmul(two, pq.quantize(np.zeros((2, 1)), uniform), pq.Accumulator(31, alignment="deferred"))
    narrow = pq.matmul(a, b, pq.Accumulator(30, "saturate", alignment="deferred"))
    assert narrow.acc[0, 0] == -(1 << 29) << 32


def test_alignment_matters_only_where_something_overflows(rng: np.random.Generator) -> None:
    a, b = random((9, 48), rng, pq.TwinGELU(8, 6, 0.01)), random((48, 20), rng)
    wide = [
        pq.matmul(a, b, pq.Accumulator(40, alignment=alignment)).acc for alignment in ("product", "operand", "deferred")
    ]
    assert np.array_equal(wide[0], wide[1])
    assert np.array_equal(wide[0], wide[2])
    narrow = {
        alignment: pq.matmul(a, b, pq.Accumulator(19, "saturate", alignment=alignment))
        for alignment in ("product", "operand", "deferred")
    }
    assert np.array_equal(narrow["product"].acc, narrow["operand"].acc)
    assert not narrow["product"].exact
    assert narrow["deferred"].exact


def test_bad_input(rng: np.random.Generator) -> None:
    a, b, accumulator = random((3, 4), rng), random((4, 5), rng), pq.Accumulator()
    with pytest.raises(ValueError, match="K is 4 in a but 3 in b"):
        pq.matmul(a, random((3, 5), rng), accumulator)
    with pytest.raises(ValueError, match=r"leading dimensions of a \(2, 3, 4\) and b \(3, 4, 5\) do not broadcast"):
        pq.matmul(random((2, 3, 4), rng), random((3, 4, 5), rng), accumulator)
    with pytest.raises(ValueError, match=r"two dimensions or more, got the shape \(4,\)"):
        pq.matmul(a[0], b, accumulator)
    with pytest.raises(ValueError, match="a must be a QuantizedArray, got ndarray"):
        pq.matmul(a.codes, b, accumulator)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="accumulator must be an Accumulator"):
        pq.matmul(a, b, 24)  # type: ignore[arg-type]
    result = pq.matmul(a, b, accumulator)
    for out in (np.empty((3, 5)), np.empty((5, 3), np.float32), np.empty((5, 3), np.float32).T):
        with pytest.raises(ValueError, match=r"C-contiguous array of float32 and of shape \(3, 5\)"):
            result.real(out)
    with pytest.raises(ValueError, match="one scale is needed for each of 3 along the first axis, got 2"):
        result.real(scales=[1.0, 2.0])


def test_what_a_result_says(rng: np.random.Generator) -> None:
    result = pq.matmul(random((3, 40), rng), random((40, 5), rng), pq.Accumulator(14, "saturate"))
    assert "saturate" in repr(result)
    assert "events=" in repr(result)
    assert str(result.certificate).startswith(result.certificate.name)
    assert result.overflow != "something else"


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("bits", [13, 40])
def test_results_travel(overflow: str, bits: int, rng: np.random.Generator) -> None:
    result = pq.matmul(random((3, 40), rng), random((40, 5), rng), pq.Accumulator(bits, overflow))
    again = pickle.loads(pickle.dumps(result))
    assert np.array_equal(again.acc, result.acc)
    assert again.overflow == result.overflow
    assert (again.exact, again.certificate, again.scale) == (result.exact, result.certificate, result.scale)


def test_widths_are_found_later_and_operands_let_go(rng: np.random.Generator) -> None:
    a, b = random((3, 40), rng), random((40, 5), rng)
    result = pq.matmul(a, b, pq.Accumulator(40, "saturate"))
    exact = np.cumsum(a.aligned()[:, :, None] * b.aligned()[None], axis=1)
    kept = weakref.ref(operands.left(a)), weakref.ref(operands.right(b))
    del a, b
    gc.collect()
    assert all(operand() is not None for operand in kept)  # the widths are not known yet
    assert result.overflow is not None
    assert (result.overflow.prefixes.lowest, result.overflow.prefixes.highest) == (exact.min(), exact.max())
    gc.collect()
    assert all(operand() is None for operand in kept)
    assert result.overflow.bits_needed == max(int(exact.max()), ~int(exact.min())).bit_length() + 1


def test_wrong_registers_can_make_a_right_sum() -> None:
    # R1 holds 12 - 16 and R2 -10 + 16: both wrapped, and 2 is right all the same.
    twin, uniform = pq.TwinGELU(4, 0, 1.0), pq.Uniform(4, 1.0)
    a, b = pq.QuantizedArray(np.array([[2, 13]]), twin), pq.QuantizedArray(np.array([[10], [14]]), uniform)
    accumulator = pq.Accumulator(4, "wrap", alignment="deferred")
    for statistics in (True, False):
        result = pq.matmul(a, b, accumulator, statistics)
        assert result.acc.tolist() == pq.reference.matmul(a, b, accumulator) == [[2]]
        assert result.exact
    counted = pq.matmul(a, b, accumulator).overflow
    assert counted is not None
    assert counted.outputs == 1
