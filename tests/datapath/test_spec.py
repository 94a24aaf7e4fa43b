from __future__ import annotations

import json
import pickle

import pytest

import ptqsim as pq


@pytest.mark.parametrize(
    "accumulator",
    [
        pq.Accumulator(),
        pq.Accumulator(24, "saturate", pq.Tree(lanes=8), "operand"),
        pq.Accumulator(63, "trap", pq.Split(tile=32, inner_bits=18), "deferred"),
    ],
    ids=str,
)
def test_plain_data_round_trip(accumulator: pq.Accumulator) -> None:
    assert pq.Accumulator.from_dict(json.loads(json.dumps(accumulator.to_dict()))) == accumulator
    assert pickle.loads(pickle.dumps(accumulator)) == accumulator
    assert hash(accumulator) == hash(pq.Accumulator.from_dict(accumulator.to_dict()))


def test_limits() -> None:
    for bits in (2, 24, 63):
        accumulator = pq.Accumulator(bits)
        assert (accumulator.minimum, accumulator.maximum) == (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@pytest.mark.parametrize(
    ("bits", "error"),
    [
        (1, ValueError), (64, ValueError), (0, ValueError), (-5, ValueError), (24.0, TypeError), ("24", TypeError),
        (None, TypeError), (True, TypeError),
    ],
)  # fmt: skip
def test_widths(bits: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="accumulator bits must be an integer from 2 to 63"):
        pq.Accumulator(bits)  # type: ignore[arg-type]
    with pytest.raises(error, match="inner_bits must be an integer from 2 to 63"):
        pq.Split(64, bits)  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError), (None, TypeError)])
def test_group_sizes(size: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="lanes must be an integer from 1"):
        pq.Tree(size)  # type: ignore[arg-type]
    with pytest.raises(error, match="tile must be an integer from 1"):
        pq.Split(size, 20)  # type: ignore[arg-type]


def test_names_suggest_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown overflow mode 'saturated'.*Did you mean 'saturate'"):
        pq.Accumulator(24, "saturated")
    with pytest.raises(ValueError, match=r"unknown alignment 'defered'.*Did you mean 'deferred'"):
        pq.Accumulator(24, alignment="defered")
    with pytest.raises(ValueError, match=r"unknown order 'tre'.*Did you mean 'tree:LANES'"):
        pq.Accumulator(24, order="tre")
    with pytest.raises(TypeError, match=r"order must be an object or a text, got 16; legal are Sequential\(\)"):
        pq.Accumulator(24, order=16)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"unknown order 'splt'.*Did you mean 'split'"):
        pq.Accumulator.from_dict({"order": {"kind": "splt"}})
    with pytest.raises(ValueError, match="cannot make an accumulator"):
        pq.Accumulator.from_dict({"width": 3})


def test_trap_error_travels() -> None:
    error = pq.AccumulatorOverflowError((1, 2), 7, "inner", 12, 15)
    again = pickle.loads(pickle.dumps(error))
    assert (again.element, again.step, again.register, again.bits, again.bits_needed) == ((1, 2), 7, "inner", 12, 15)
    assert "element (1, 2)" in str(again)
    assert "step 7" in str(again)
    assert "15 bits" in str(again)
