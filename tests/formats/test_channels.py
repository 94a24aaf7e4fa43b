"""Scales per channel: a format, arrays of its codes, and what they refuse."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.formats import from_dict

SCALES = np.array([0.5, 0.03, 7.0])
COLUMNS, ROWS = pq.Uniform(4, SCALES, axis=-1), pq.Uniform(4, SCALES, axis=-2)


def by_hand(x: NDArray[Any], scales: NDArray[Any], axis: int, bits: int, rounding: str) -> list[NDArray[Any]]:
    """Codes of each channel by a format of one scale, and what they stand for."""
    parts = [np.take(x, [i], axis=axis) for i in range(len(scales))]
    formats = [pq.Uniform(bits, float(s), rounding) for s in scales]
    codes = [fmt.encode(part) for fmt, part in zip(formats, parts, strict=True)]
    reals = [fmt.decode(code) for fmt, code in zip(formats, codes, strict=True)]
    faked = [fmt.fake_quantize(part) for fmt, part in zip(formats, parts, strict=True)]
    return [np.concatenate(every, axis=axis) for every in (codes, reals, faked)]


@given(
    bits=st.integers(2, 16), axis=st.sampled_from([-1, -2]), lead=st.sampled_from([(), (2,), (2, 3)]),
    rounding=st.sampled_from(list(pq.RoundingMode)), dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_every_channel_is_a_format_of_one_scale(
    bits: int, axis: int, lead: tuple[int, ...], rounding: str, dtype: Any, seed: int
) -> None:
    random = np.random.RandomState(seed)
    scales = np.exp2(random.uniform(-6, 6, 5))
    half_steps = random.randint(-(2**bits), 2**bits, (*lead, 5, 5))  # ties, and values out of range
    x = (half_steps * 0.5 * (scales if axis == -1 else scales[:, None])).astype(dtype)
    fmt = pq.Uniform(bits, scales, rounding, axis=axis)
    codes, reals, faked = by_hand(x, scales, axis, bits, rounding)
    np.testing.assert_array_equal(fmt.encode(x), codes, strict=True)
    np.testing.assert_array_equal(fmt.decode(codes), reals, strict=True)
    np.testing.assert_array_equal(fmt.fake_quantize(x), faked, strict=True)
    np.testing.assert_array_equal(pq.quantize(x, fmt).aligned(), fmt.unscaled().align(codes))


def test_a_format_is_a_value() -> None:
    same = pq.Uniform(4, list(SCALES), axis=-1)
    assert (same, hash(same)) == (COLUMNS, hash(COLUMNS))
    assert {same: 1}[COLUMNS] == 1
    others = [ROWS, pq.Uniform(4, 0.5), pq.Uniform(5, SCALES, axis=-1), pq.Uniform(4, SCALES[::-1], axis=-1)]
    assert all(other != COLUMNS and other != COLUMNS for other in others)
    assert SCALES.tolist() != COLUMNS
    for again in (pickle.loads(pickle.dumps(COLUMNS)), copy.deepcopy(COLUMNS), from_dict(COLUMNS.to_dict())):
        assert again == COLUMNS
    assert COLUMNS.with_scale(SCALES[::-1]) == others[3]


def test_the_scales_cannot_be_changed() -> None:
    given_scales = SCALES.copy()
    fmt = pq.Uniform(4, given_scales, axis=-1)
    given_scales[:] = 1
    assert fmt.scale.tolist() == SCALES.tolist()
    with pytest.raises(ValueError, match="read-only"):
        fmt.scale[0] = 1
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        fmt.scale.flags.writeable = True


def test_scales_that_were_changed_by_force_are_noticed() -> None:
    x = np.array([[1.0, 1.0, 1.0]])
    fmt = pq.Uniform(4, SCALES, axis=-1)
    a, b = pq.quantize([[1.0]], pq.Uniform(4, 1.0)), pq.quantize(x, fmt)
    before = (a @ b).scale.tolist()
    object.__setattr__(fmt, "scale", np.ones(3))
    assert fmt.encode(x).tolist() == [[1, 1, 1]]
    assert ((a @ b).scale.tolist(), before) == ([1, 1, 1], SCALES.tolist())
    object.__setattr__(fmt, "scale", np.zeros(3))
    with pytest.raises(ValueError, match="every scale must be finite and positive"):
        fmt.encode(x)


def test_words() -> None:
    assert repr(COLUMNS) == "Uniform(bits=4, scale=[0.5 , 0.03, 7.  ], rounding='half_even', axis=-1)"
    assert repr(pq.Uniform(4, 0.5)) == "Uniform(bits=4, scale=0.5, rounding='half_even')"
    assert COLUMNS.short() == "Uniform(bits=4, scale=3 from 0.03 to 7, axis=-1)"
    assert "\n" not in repr(pq.Uniform(4, np.linspace(1, 2, 2000), axis=-1))
    assert "axis" not in pq.Uniform(4, 0.5).to_dict()
    assert COLUMNS.to_dict()["scale"] == SCALES.tolist()
    assert (COLUMNS.real_min, COLUMNS.real_max) == (-8 * 7.0, 7 * 7.0)
    assert COLUMNS.real_table().shape == (3, 16)


@pytest.mark.parametrize(
    ("scale", "axis", "error", "message"),
    [
        ([0.5], None, TypeError, "scale must be one finite positive number"),
        (0.5, -1, ValueError, r"must be a vector, one scale for each of the columns, got the shape \(\)"),
        ([], -1, ValueError, r"got the shape \(0,\)"),
        ([[1.0]], -2, ValueError, r"one scale for each of the rows, got the shape \(1, 1\)"),
        ([1.0, 0.0, np.inf], -1, ValueError, r"got 0.0 at index 1 \(2 of 3 are not\)"),
        (["1"], -1, TypeError, "must hold real numbers"),
        ([True], -1, TypeError, "must hold real numbers"),
        ([1.0], 0, ValueError, "axis must be an integer from -2 to -1"),
        ([1.0], -1.0, TypeError, "axis must be an integer from -2 to -1"),
        ([1e308, 1.0], -1, ValueError, "the largest code of"),
    ],
)
def test_scales_that_are_refused(scale: Any, axis: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pq.Uniform(8, scale, axis=axis)


@pytest.mark.parametrize("use", [COLUMNS.encode, COLUMNS.fake_quantize, lambda x: pq.quantize(x, COLUMNS)])
@pytest.mark.parametrize("shape", [(3, 2), (3,) * 0, (2, 3, 1)])
def test_reals_of_another_length(use: Callable[[Any], object], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"reals of shape .* do not fit 3 scales along axis -1; legal .* \[..., 3\]"):
        use(np.zeros(shape))


def test_codes_of_another_length() -> None:
    for make in (lambda codes: pq.QuantizedArray(codes, ROWS), ROWS.decode):
        with pytest.raises(ValueError, match=r"codes of shape \(2, 4\) do not fit 3 scales along axis -2"):
            make(np.zeros((2, 4), np.uint8))


MOVES: dict[str, Callable[[Any], Any]] = {
    "swapaxes": lambda q: q.swapaxes(-1, -2), "matrix": lambda q: q[1], "columns": lambda q: q[..., 1:],
    "reversed": lambda q: q[..., ::-1, ::-1], "chosen": lambda q: q[:, [2, 0]], "column": lambda q: q[..., 2],
    "one": lambda q: q[1, 2, 0], "leading": lambda q: q.reshape(1, *q.shape), "none": lambda q: q[:0],
    "transpose": lambda q: q[0].T, "matrices": lambda q: q.transpose(0, 2, 1), "same": lambda q: q.reshape(q.shape),
}  # fmt: skip


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_moved_codes_keep_their_reals(move: Callable[[Any], Any], axis: int) -> None:
    shape = (2, 4, 3) if axis == -1 else (2, 3, 4)
    real = np.random.RandomState(0).uniform(-4, 4, shape)
    array = pq.quantize(real, pq.Uniform(6, SCALES, axis=axis))
    np.testing.assert_array_equal(move(array).dequantize(), move(array.dequantize()), strict=True)


def test_a_move_that_would_spread_the_channels() -> None:
    array = pq.quantize(np.ones((2, 4, 3)), COLUMNS)
    for move in (lambda q: q.T, lambda q: q.transpose(2, 0, 1), lambda q: q.reshape(2, 6, 2)):
        with pytest.raises(ValueError, match="which would be spread over other axes"):
            move(array)
