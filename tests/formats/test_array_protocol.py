"""`QuantizedArray` as NumPy's users expect it, where that is exact, and a clear refusal elsewhere."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim.formats.arrays.immutable import is_sealed

EIGHT = pq.Uniform(bits=8, scale=1 / 32)


@pytest.fixture
def array(rng: np.random.Generator) -> pq.QuantizedArray:
    return pq.quantize(rng.normal(0, 1, (2, 3, 5)), EIGHT)


def test_arrangements_move_codes_alone(array: pq.QuantizedArray) -> None:
    codes = array.codes
    assert (len(array), array.shape, array.ndim, array.size) == (2, (2, 3, 5), 3, 30)
    pairs = [
        (array.T, codes.T), (array.transpose(), codes.T), (array.transpose(1, 0, 2), codes.transpose(1, 0, 2)),
        (array.transpose((2, 1, 0)), codes.T), (array.reshape(6, 5), codes.reshape(6, 5)),
        (array.reshape((5, -1)), codes.reshape(5, -1)), (array.T.reshape(-1), codes.T.reshape(-1)),
        (array[1], codes[1]), (array[..., ::2], codes[..., ::2]), (array[0, 1, 2], codes[0, 1, 2]),
        (array[None, 1], codes[None, 1]), (array[array.codes > 9], codes[codes > 9]),
        (array.swapaxes(0, 1), codes.swapaxes(0, 1)),
    ]  # fmt: skip
    for found, expected in pairs:
        assert isinstance(found, pq.QuantizedArray)
        assert found.format == EIGHT
        assert found.shape == np.shape(expected)
        assert np.array_equal(found.codes, expected)
        assert is_sealed(found.codes)
    assert [part.codes.tolist() for part in array] == codes.tolist()


def test_what_has_no_length() -> None:
    scalar = pq.quantize(0.5, EIGHT)
    with pytest.raises(TypeError, match="no length"):
        len(scalar)
    with pytest.raises(TypeError, match="no length"):
        iter(scalar)
    with pytest.raises(ValueError, match="no truth value"):
        bool(scalar)


def test_asarray_gives_the_reals(array: pq.QuantizedArray) -> None:
    reals = np.asarray(array)
    assert reals.dtype == np.float64
    assert np.array_equal(reals, array.codes.astype(np.int8) / 32)
    assert np.array_equal(reals, array.dequantize())
    assert np.array_equal(reals, array.real())
    for dtype in (np.float32, np.float16, np.int32, object):
        cast = np.asarray(array, dtype=dtype)
        assert cast.dtype == dtype
        assert np.array_equal(cast, reals.astype(dtype))
    reals[:] = 0  # a new array each time
    assert np.array(array, copy=True).any()
    with pytest.raises(ValueError, match="always a new array"):
        np.asarray(array, copy=False)
    assert np.concatenate([array, array]).shape == (4, 3, 5)
    assert np.array_equal(pq.quantize(array, EIGHT).codes, array.codes)


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (lambda q: np.add(q, 1), "np.add"), (lambda q: np.exp(q), "np.exp"), (lambda q: np.ones(5) + q, "np.add"),
        (lambda q: q + np.ones(5), "np.add"), (lambda q: np.ones((2, 2)) @ q, "np.matmul"),
        (lambda q: q @ np.ones((5, 2)), "np.matmul"), (lambda q: q == np.ones(5), "np.equal"),
        (lambda q: np.add.reduce(q), "np.add.reduce"), (lambda q: np.sum(q), "np.add.reduce"),
    ],
)  # fmt: skip
def test_arithmetic_is_refused(array: pq.QuantizedArray, act: Callable[[Any], Any], name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name} takes no QuantizedArray.*q\.dequantize\(\)"):
        act(array)


def test_operators_without_numpy_are_refused(array: pq.QuantizedArray) -> None:
    for act in (operator.add, operator.mul, operator.matmul, operator.lt):
        with pytest.raises(TypeError, match=r"not supported|unsupported"):
            act(array, 3)


def test_the_product_is_exact() -> None:
    """Codes at both ends, deep: sums beyond 32 bits, as Python integers have them."""
    a = pq.QuantizedArray(np.full((3, 4), 1 << 15, np.uint16), pq.Uniform(16, 0.5))
    b = pq.QuantizedArray([[1 << 15, 32767], [1 << 15, 32767], [1 << 15, 32767], [1 << 15, 1]], pq.Uniform(16, 0.25))
    result = a @ b
    assert isinstance(result, pq.MatmulResult)
    assert result.exact
    assert result.scale == 0.125
    assert result.acc.tolist() == [[4 * 2**30, -(2**15) * (3 * 32767 + 1)]] * 3
    assert np.array_equal(result.dequantize(), result.acc * 0.125)
    assert np.array_equal(result.real(), result.dequantize())
    assert np.array_equal((a @ a.T).acc, a.aligned() @ a.aligned().T)


def test_products_that_no_datapath_has_are_refused() -> None:
    pwlq = pq.quantize([[0.1]], pq.PWLQ(4, 0.1, 0.5, 1.0))
    with pytest.raises(ValueError, match=r"PWLQ has two free scales .* which no shift aligns"):
        pwlq @ pwlq
    wide = pq.QuantizedArray([[1]], pq.TwinSoftmax(16, 32))
    with pytest.raises(ValueError, match="63 are simulated"):
        wide @ wide
    with pytest.raises(ValueError, match="do not fit"):
        pq.quantize(np.zeros((2, 3)), EIGHT) @ pq.quantize(np.zeros((2, 3)), EIGHT)


def test_equality_is_one_bool_and_hashes_agree(array: pq.QuantizedArray) -> None:
    for same in (
        array, array[:], array.T.T, pickle.loads(pickle.dumps(array)), copy.copy(array), copy.deepcopy(array),
        pq.QuantizedArray(array.codes.copy(), pq.Uniform(8, 1 / 32)),
    ):  # fmt: skip
        assert (array == same) is True
        assert (array != same) is False
        assert hash(array) == hash(same)
        assert is_sealed(same.codes)
    assert len({array, array[:], array.T}) == 2
    changed = array.codes.copy()
    changed[1, 2, 4] ^= 1
    for other in (
        array.T, array.reshape(6, 5), array[:1], pq.QuantizedArray(changed, EIGHT),
        pq.QuantizedArray(array.codes, pq.Uniform(8, 1 / 16)), None, "array", 3,
    ):  # fmt: skip
        assert (array == other) is False
        assert (array != other) is True


def test_equal_arrays_are_multiplied_apart(rng: np.random.Generator) -> None:
    """A product finds its kept state of an operand by identity: an equal one may die, and the other keeps its own."""
    codes = rng.integers(0, 256, (4, 6), np.uint8)
    a, b = pq.QuantizedArray(codes, EIGHT), pq.QuantizedArray(codes.T.copy(), EIGHT)
    expected = (a @ b).acc
    twin = pq.QuantizedArray(codes, EIGHT)
    assert np.array_equal((twin @ b).acc, expected)
    del a
    assert np.array_equal((twin @ b).acc, expected)


def test_repr_is_short() -> None:
    shown = {
        EIGHT: "Uniform(bits=8, scale=0.0312)",
        pq.Uniform(8, 1.0, "half_up"): "Uniform(bits=8, scale=1, rounding='half_up')",
        pq.TwinSoftmax(8, 6, range_choice="nearest"): "TwinSoftmax(bits=8, shift=6, range_choice='nearest')",
        pq.Log2(4): "Log2(bits=4)",
    }
    for number_format, text in shown.items():
        array = pq.QuantizedArray(np.zeros((197, 64), np.uint8), number_format)
        assert repr(array) == f"QuantizedArray(shape=(197, 64), format={text})"
