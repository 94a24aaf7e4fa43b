"""Every field of every step, written out by hand: what golden vectors and error messages are made of."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import reference
from ptqsim.datapath.reference import Operand
from ptqsim.datapath.register import Step
from ptqsim.datapath.statistics import PrefixRange


def test_sequential() -> None:
    value, steps = reference.trace([3, 3, 3, -9], [1, 1, 1, 1], pq.Accumulator(4, "wrap"))
    assert value == 0
    assert steps == [
        Step(0, "accumulator", 4, (0, 0), before=0, term=3, after=3, exact=3),
        Step(1, "accumulator", 4, (0, 0), before=3, term=3, after=6, exact=6),
        Step(2, "accumulator", 4, (0, 0), before=6, term=3, after=-7, exact=9),
        Step(3, "accumulator", 4, (0, 0), before=-7, term=-9, after=0, exact=0),
    ]
    assert [step.event for step in steps] == [False, False, True, True]


def test_split() -> None:
    accumulator = pq.Accumulator(5, "saturate", pq.Split(tile=2, inner_bits=4))
    value, steps = reference.trace([6, 5, 4, 6, 9], [1, 1, 1, 1, 1], accumulator)
    assert value == 15
    assert steps == [
        Step(0, "inner", 4, (0, 0), before=0, term=6, after=6, exact=6),
        Step(1, "inner", 4, (0, 0), before=6, term=5, after=7, exact=11),
        Step(1, "accumulator", 5, (0, 0), before=0, term=7, after=7, exact=11),
        Step(2, "inner", 4, (0, 0), before=0, term=4, after=4, exact=4),
        Step(3, "inner", 4, (0, 0), before=4, term=6, after=7, exact=10),
        Step(3, "accumulator", 5, (0, 0), before=7, term=7, after=14, exact=21),
        Step(4, "inner", 4, (0, 0), before=0, term=9, after=7, exact=9),
        Step(4, "accumulator", 5, (0, 0), before=14, term=7, after=15, exact=30),
    ]


def test_tree() -> None:
    value, steps = reference.trace([6, 5, 4], [1, 2, -1], pq.Accumulator(4, "trap", pq.Tree(2)))
    assert value == 12
    assert steps == [
        Step(1, "accumulator", 4, (0, 0), before=0, term=16, after=16, exact=16),
        Step(2, "accumulator", 4, (0, 0), before=16, term=-4, after=12, exact=12),
    ]


def test_deferred_with_two_twin_operands() -> None:
    """Four pairs of ranges, of which three occur; each has registers of its own, and both shifts count."""
    row = [Operand(3, 0, 0), Operand(5, 2, 1), Operand(-2, 0, 0), Operand(7, 2, 1)]
    column = [Operand(4, 0, 0), Operand(6, 3, 1), Operand(-7, 0, 0), Operand(1, 3, 1)]
    mixed = [*column[:2], Operand(-7, 3, 1), column[3]]
    value, steps = reference.trace(row, mixed, pq.Accumulator(6, "saturate", alignment="deferred"))
    # (R1, R1): 12; (R1, R2): 14 << 3; (R2, R2): 30, then 31 as 37 does not fit 6 bits, << 5
    assert value == 12 + (14 << 3) + (31 << 5)
    assert [(step.pair, step.depth_index, step.before, step.term, step.after, step.exact) for step in steps] == [
        ((0, 0), 0, 0, 12, 12, 12), ((0, 0), 1, 12, 0, 12, 12), ((0, 0), 2, 12, 0, 12, 12), ((0, 0), 3, 12, 0, 12, 12),
        ((0, 1), 0, 0, 0, 0, 0), ((0, 1), 1, 0, 0, 0, 0), ((0, 1), 2, 0, 14, 14, 14), ((0, 1), 3, 14, 0, 14, 14),
        ((1, 1), 0, 0, 0, 0, 0), ((1, 1), 1, 0, 30, 30, 30), ((1, 1), 2, 30, 0, 30, 30), ((1, 1), 3, 30, 7, 31, 37),
    ]  # fmt: skip
    in_tiles = pq.Accumulator(6, "saturate", pq.Split(4, 5), "deferred")
    value, steps = reference.trace(row, mixed, in_tiles)
    assert value == 12 + (14 << 3) + (15 << 5)
    assert {(step.register, step.pair) for step in steps} == {
        (register, pair) for register in ("inner", "accumulator") for pair in ((0, 0), (0, 1), (1, 1))
    }


def test_nothing_to_add() -> None:
    for alignment in ("product", "deferred"):
        assert reference.trace([], [], pq.Accumulator(8, alignment=alignment)) == (0, [])


def test_the_first_event_of_several() -> None:
    """By index, then the tile register before the accumulator, then by pair of ranges."""

    def failing(index: int, register: str, pair: tuple[int, int]) -> Step:
        return Step(index, register, 2, pair, 0, 5, 1, 5)

    late, outer = failing(3, "inner", (0, 0)), failing(2, "accumulator", (0, 0))
    other, inner = failing(2, "inner", (1, 0)), failing(2, "inner", (0, 1))
    fine = Step(0, "inner", 2, (0, 0), 0, 1, 1, 1)
    assert reference.first_event([fine, late, outer, other, inner]) is inner
    assert reference.first_event([fine, late, outer, other]) is other
    assert reference.first_event([fine, late, outer]) is outer
    assert reference.first_event([fine, late]) is late
    assert reference.first_event([fine]) is None


def test_operands_of_each_format() -> None:
    for code, expected in enumerate([0, 1, 2, 3, -4, -3, -2, -1]):
        assert reference.operand(code, pq.Uniform(3, 1.0)) == Operand(expected, 0, 0)
    for code, magnitude in enumerate([0, 1, 2, 3]):
        assert reference.operand(code, pq.TwinSoftmax(3, 5)) == Operand(magnitude, 0, 0)
        assert reference.operand(code, pq.TwinGELU(3, 5, 1.0)) == Operand(-magnitude, 0, 0)
        for twin in (pq.TwinSoftmax(3, 5), pq.TwinGELU(3, 5, 1.0)):
            assert reference.operand(code + 4, twin) == Operand(magnitude, 5, 1)
    assert [reference.operand(code, pq.Log2(2)) for code in range(4)] == [
        Operand(4, 0, 0), Operand(2, 0, 0), Operand(1, 0, 0), Operand(0, 0, 0),
    ]  # fmt: skip
    for code in (-1, 8):
        with pytest.raises(ValueError, match=rf"^code {code} is outside 0 \.\. 7$"):
            reference.operand(code, pq.Uniform(3, 1.0))
    for refused in (pq.Log2(6), pq.PWLQ(3, 1.0, 1.0, 1.0)):
        name = type(refused).__name__
        with pytest.raises(ValueError, match=f"^{name} codes are not integers on one grid, apart from a shift$"):
            reference.operand(0, refused)


def test_operands_and_integers_may_meet_unless_deferred() -> None:
    operands, integers = [Operand(3, 2, 1), Operand(-1, 0, 0)], [5, 7]
    for accumulator in (None, pq.Accumulator(12), pq.Accumulator(12, order=pq.Tree(2))):
        assert reference.dot(operands, integers, accumulator) == 12 * 5 - 7
        assert reference.dot(integers, operands, accumulator) == 12 * 5 - 7
        assert reference.dot(operands, operands, accumulator) == 12 * 12 + 1
    with pytest.raises(
        ValueError,
        match=r"^deferred alignment keeps one register per range, and an integer does not say which range it came "
        r"from; give QuantizedArray or Operand instead$",
    ):
        reference.dot(operands, integers, pq.Accumulator(alignment="deferred"))


def test_statistics_of_a_split_order() -> None:
    split = pq.Accumulator(5, "saturate", pq.Split(tile=2, inner_bits=4))
    _, statistics = reference.matmul_with_statistics([[6, 5, 4, 6, -9, -9]], [[1]] * 6, split)
    assert statistics.prefixes == PrefixRange(0, 21, -18, 11)
    assert (statistics.outputs, statistics.events, statistics.first) == (1, 4, ((0, 0), 1))
    _, one = reference.matmul_with_statistics([[3]], [[2]], split)
    assert one.prefixes == PrefixRange(0, 6, 0, 6)
    _, one = reference.matmul_with_statistics([[3]], [[-2]], split)
    assert one.prefixes == PrefixRange(-6, 0, -6, 0)


def test_what_a_trap_says() -> None:
    for order, register, bits, needed in (
        (pq.Sequential(), "accumulator", 5, 6), (pq.Split(3, 4), "inner", 4, 6), (pq.Split(1, 9), "accumulator", 5, 6),
    ):  # fmt: skip
        with pytest.raises(pq.AccumulatorOverflowError) as caught:
            reference.matmul([[1, 0], [9, 9]], [[1, 0], [1, 2]], pq.Accumulator(5, "trap", order))
        error = caught.value
        assert (error.element, error.register, error.bits, error.bits_needed) == ((1, 0), register, bits, needed)


def test_quantized_arrays_equal_their_operands() -> None:
    twin = pq.TwinGELU(4, 3, 1.0)
    a = pq.QuantizedArray(np.arange(12).reshape(3, 4), twin)
    b = pq.QuantizedArray(np.arange(4, 16).reshape(4, 3), twin)
    assert reference.operands(a)[2][3] == reference.operand(11, twin)
    for alignment in ("product", "operand", "deferred"):
        accumulator = pq.Accumulator(40, alignment=alignment)
        assert reference.matmul(a, b, accumulator) == (a.aligned() @ b.aligned()).tolist()
