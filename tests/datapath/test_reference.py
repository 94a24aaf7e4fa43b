"""The reference against definitions that share nothing with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim import reference

terms = st.integers(-(2**15), 2**15)


@given(st.lists(st.tuples(terms, terms), min_size=1, max_size=20), st.integers(2, 40))
def test_wrapping_at_every_step_equals_one_reduction(pairs: list[tuple[int, int]], bits: int) -> None:
    row, column = zip(*pairs, strict=True)
    exact = sum(x * w for x, w in pairs)
    for order in (pq.Sequential(), pq.Tree(3), pq.Split(4, bits), pq.Split(4, bits + 1)):
        found = reference.dot(row, column, pq.Accumulator(bits, "wrap", order))
        assert -(2 ** (bits - 1)) <= found < 2 ** (bits - 1)
        assert (found - exact) % 2**bits == 0


@given(
    st.lists(st.tuples(terms, terms), min_size=1, max_size=20),
    st.integers(2, 40),
    st.sampled_from(["wrap", "saturate"]),
)
def test_quick_dot_equals_the_trace(pairs: list[tuple[int, int]], bits: int, overflow: str) -> None:
    row, column = zip(*pairs, strict=True)
    accumulator = pq.Accumulator(bits, overflow)
    value, steps = reference.trace(row, column, accumulator)
    assert reference.dot(row, column, accumulator) == value == steps[-1].after
    assert len(steps) == len(pairs)
    assert steps[-1].exact == reference.dot(row, column) == sum(x * w for x, w in pairs)


def test_tree_adds_the_exact_sum_of_its_lanes() -> None:
    # 100 - 100 cancels inside a tree of two lanes, and not in a register of 7 bits (-64 .. 63).
    row, column = [100, -100, 30], [1, 1, 1]
    assert reference.dot(row, column, pq.Accumulator(7, "saturate")) == max(63 - 100, -64) + 30
    assert reference.dot(row, column, pq.Accumulator(7, "saturate", pq.Tree(2))) == 30
    steps = reference.trace(row, column, pq.Accumulator(7, "saturate", pq.Tree(2)))[1]
    assert [(step.depth_index, step.term) for step in steps] == [(1, 0), (2, 30)]


def test_split_overflows_in_either_register() -> None:
    row, column = [60, 60, -60, 60, 5], [1] * 5
    accumulator = pq.Accumulator(8, "saturate", pq.Split(tile=2, inner_bits=7))
    value, steps = reference.trace(row, column, accumulator)
    # tiles: 60 + 60 -> 63 (clamped), -60 + 60 -> 0, 5
    assert value == 63 + 0 + 5
    assert [(step.depth_index, step.register, step.event) for step in steps] == [
        (0, "inner", False), (1, "inner", True), (1, "accumulator", False), (2, "inner", False), (3, "inner", False),
        (3, "accumulator", False), (4, "inner", False), (4, "accumulator", False),
    ]  # fmt: skip
    narrow = pq.Accumulator(6, "wrap", pq.Split(tile=2, inner_bits=8))
    _, narrow_steps = reference.trace(row, column, narrow)
    assert [step.depth_index for step in narrow_steps if step.event] == [1]
    assert reference.first_event(narrow_steps) == narrow_steps[2]


def test_deferred_keeps_one_register_per_range() -> None:
    twin = pq.TwinSoftmax(4, 3)
    a = pq.QuantizedArray(np.array([[7, 8 + 7, 7]]), twin)  # R1 7, R2 7, R1 7: aligned 7, 56, 7
    b = pq.quantize([[7.0], [7.0], [7.0]], pq.Uniform(4, 1.0))
    exact = 7 * 7 + 56 * 7 + 7 * 7
    assert reference.matmul(a, b, None) == [[exact]]
    assert reference.matmul(a, b, pq.Accumulator(8, "saturate", alignment="deferred")) == [[49 + 49 + (49 << 3)]]
    # Seven bits hold 49, not 98: the R1 register clamps at 63, the R2 register is exact.
    narrow = pq.Accumulator(7, "saturate", alignment="deferred")
    value, statistics = reference.matmul_with_statistics(a, b, narrow)
    assert value == [[63 + (49 << 3)]]
    assert (statistics.outputs, statistics.events, statistics.first) == (1, 1, ((0, 0), 2))
    assert statistics.bits_needed == 8
    for alignment in ("product", "operand"):
        assert reference.matmul(a, b, pq.Accumulator(7, "saturate", alignment=alignment)) == [[63]]


def test_statistics_by_hand() -> None:
    a, b = [[3, 3, 3, -9], [1, 1, 1, 1]], [[1, 0], [1, 0], [1, 0], [1, 0]]
    # sums for output (0, 0): 3, 6, 9, 0; with 4 bits (-8 .. 7) they are 3, 6, wrap(9) = -7, wrap(-16) = 0
    value, statistics = reference.matmul_with_statistics(a, b, pq.Accumulator(4, "wrap"))
    assert value == [[0, 0], [4, 0]]
    assert (statistics.outputs, statistics.events, statistics.first) == (1, 2, ((0, 0), 2))
    assert (statistics.prefixes.lowest, statistics.prefixes.highest, statistics.bits_needed) == (0, 9, 5)
    value, statistics = reference.matmul_with_statistics(a, b, pq.Accumulator(4, "saturate"))
    assert value == [[-2, 0], [4, 0]]
    assert statistics.events == 1
    with pytest.raises(pq.AccumulatorOverflowError) as caught:
        reference.matmul(a, b, pq.Accumulator(4, "trap"))
    assert (caught.value.element, caught.value.step, caught.value.bits_needed) == ((0, 0), 2, 5)
    with pytest.raises(pq.AccumulatorOverflowError):
        reference.dot(a[0], [1, 1, 1, 1], pq.Accumulator(4, "trap"))
    assert reference.matmul(a, b, pq.Accumulator(5, "trap")) == [[0, 0], [4, 0]]


def test_batches(rng: np.random.Generator) -> None:
    a, b = rng.integers(-9, 9, (2, 1, 3, 4)), rng.integers(-9, 9, (5, 4, 2))
    expected = np.matmul(a, b).tolist()
    assert reference.matmul(a.tolist(), b.tolist(), None) == expected
    assert reference.matmul(a.tolist(), b[0].tolist(), None) == np.matmul(a, b[0]).tolist()
    assert reference.matmul(a[0, 0].tolist(), b.tolist(), None) == np.matmul(a[0, 0], b).tolist()


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="a row of 2 operands cannot meet a column of 3"):
        reference.trace([1, 2], [1, 2, 3], pq.Accumulator())
    with pytest.raises(ValueError, match="a row of 2 operands cannot meet a column of 3"):
        reference.dot([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match=r"shorter|longer"):
        reference.dot([1, 2], [1, 2, 3], pq.Accumulator())
    with pytest.raises(ValueError, match="does not say which range"):
        reference.matmul([[1]], [[1]], pq.Accumulator(alignment="deferred"))
    with pytest.raises(ValueError, match="do not broadcast"):
        reference.matmul([[[1]], [[1]]], [[[1]], [[1]], [[1]]], None)
    with pytest.raises(ValueError, match="two dimensions or more"):
        reference.matmul([1], [[1]], None)
    with pytest.raises(ValueError, match="code 256 is outside"):
        reference.operand(256, pq.Uniform(8, 1.0))


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64])
def test_integers_of_numpy_do_not_wrap(kind: type[np.integer]) -> None:
    """The authority computes in Python integers, whatever integers it is given."""
    largest = int(np.iinfo(kind).max)
    row, column = [kind(largest), kind(1)], [kind(largest), kind(largest)]
    exact = largest * largest + largest
    wide, trap = pq.Accumulator(63, "wrap"), pq.Accumulator(63, "trap", pq.Tree(2))
    bounded = (exact + 2**62) % 2**63 - 2**62
    assert reference.dot(row, column) == exact
    assert reference.dot(row, column, wide) == reference.matmul([row], [[w] for w in column], wide)[0][0] == bounded
    if exact < 2**62:
        assert reference.trace(row, column, trap)[0] == reference.dot(row, column, trap) == exact
    unit = pq.Requantizer(2**31 - 1, 3)
    assert reference.requantized(kind(largest), unit) == (largest * (2**31 - 1) * 2 // 8 + 1) // 2
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        reference.dot([1.5], [2])


def test_codes_of_numpy_stand_for_python_integers() -> None:
    for fmt in (pq.Uniform(8, 1.0), pq.TwinSoftmax(8, 32), pq.TwinGELU(8, 32, 1.0), pq.Log2(4)):
        for code in range(1 << fmt.bits):
            found = reference.operand(np.uint8(code), fmt)  # type: ignore[arg-type]
            assert found == reference.operand(code, fmt)
            assert {type(found.mantissa), type(found.shift), type(found.aligned)} == {int}
