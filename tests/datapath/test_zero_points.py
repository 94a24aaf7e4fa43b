"""Zero points in the reference and in the bounds: every step written out by hand, and bounds that are reached."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import bounds, reference
from ptqsim.datapath.codes.operand import Operand
from ptqsim.datapath.register import Step
from ptqsim.datapath.result_bits import result_bits

# A = 5, 7, 2 with z_a = 3 and B = -1, 2, 4 with z_b = -2: a = 2, 4, -1 and b = 1, 4, 6, and a b sums to 2 + 16 - 6.
ROW = [Operand(2, 0, 0, 3), Operand(4, 0, 0, 3), Operand(-1, 0, 0, 3)]
COLUMN = [Operand(1, 0, 0, -2), Operand(4, 0, 0, -2), Operand(6, 0, 0, -2)]


def correction(bits: int, overflow: str, order: str = "sequential", alignment: str = "product") -> pq.Accumulator:
    return pq.Accumulator(bits, overflow, order, alignment, zero_point="correction")


def test_operands_hold_the_integer_of_the_code() -> None:
    u4 = pq.Uniform(4, 1.0, signed=False, zero_point=3)
    assert reference.operand(15, u4) == Operand(12, 0, 0, 3)
    assert reference.operand(15, u4).integer == 15
    s4 = pq.Uniform(4, 1.0, zero_point=-2)
    assert [reference.operand(code, s4).aligned for code in (7, 8, 15, 14)] == [9, -6, 1, 0]
    assert reference.operand(8, s4).integer == -8


def test_sequential() -> None:
    """The constant is -3 * (-1 + 2 + 4) + 3 * 3 * -2 = -33; the products -5, 14, 8; the rest 2 * (5 + 7 + 2) = 28."""
    value, steps = reference.trace(ROW, COLUMN, correction(6, "saturate"))
    assert value == 18
    assert steps == [
        Step(-1, "accumulator", 6, (0, 0), before=0, term=-33, after=-32, exact=-33),
        Step(0, "accumulator", 6, (0, 0), before=-32, term=-5, after=-32, exact=-38),
        Step(1, "accumulator", 6, (0, 0), before=-32, term=14, after=-18, exact=-24),
        Step(2, "accumulator", 6, (0, 0), before=-18, term=8, after=-10, exact=-16),
        Step(3, "accumulator", 6, (0, 0), before=-10, term=28, after=18, exact=12),
    ]
    assert [step.event for step in steps] == [True, True, False, False, False]
    assert reference.dot(ROW, COLUMN, correction(6, "wrap")) == 12
    assert reference.dot(ROW, COLUMN, pq.Accumulator(6, "saturate")) == 12


def test_the_rest_of_a_correction_obeys_the_register() -> None:
    """At 5 bits the constant and the first product saturate at -16, and the rest of 28 leaves the register above."""
    _, steps = reference.trace(ROW, COLUMN, correction(5, "saturate"))
    assert (steps[-1].term, steps[-1].before, steps[-1].after, steps[-1].event) == (28, 6, 15, True)
    _, steps = reference.trace(ROW, COLUMN, correction(5, "wrap"))
    assert (steps[-1].before, steps[-1].after) == (-16, 12)
    _, steps = reference.trace(ROW, COLUMN, correction(5, "trap"))
    assert (steps[-1].before, steps[-1].after) == (-16, 12)


def test_tiles_start_at_zero_and_trees_take_no_correction() -> None:
    _, steps = reference.trace(ROW, COLUMN, correction(7, "saturate", "split:2:4"))
    assert [(s.depth_index, s.register, s.before, s.term, s.after, s.exact) for s in steps] == [
        (-1, "accumulator", 0, -33, -33, -33),
        (0, "inner", 0, -5, -5, -5),
        (1, "inner", -5, 14, 7, 9),
        (1, "accumulator", -33, 7, -26, -24),
        (2, "inner", 0, 8, 7, 8),
        (2, "accumulator", -26, 7, -19, -16),
        (3, "accumulator", -19, 28, 9, 12),
    ]
    _, steps = reference.trace(ROW, COLUMN, correction(7, "saturate", "tree:2"))
    assert [(s.depth_index, s.term, s.after) for s in steps] == [(-1, -33, -33), (1, 9, -24), (2, 8, -16), (3, 28, 12)]


def test_a_zero_point_of_zero_takes_no_step() -> None:
    symmetric = [Operand(x.integer, 0, 0) for x in ROW]
    _, steps = reference.trace(symmetric, COLUMN, correction(8, "wrap"))
    assert [step.depth_index for step in steps] == [0, 1, 2, 3]
    _, steps = reference.trace(ROW, [Operand(w.integer, 0, 0) for w in COLUMN], correction(8, "wrap"))
    assert [step.depth_index for step in steps] == [-1, 0, 1, 2]
    assert steps[0].term == -3 * (-1 + 2 + 4)
    plain = [Operand(w.integer, 0, 0) for w in COLUMN]
    assert reference.trace(symmetric, plain, correction(8, "wrap")) == reference.trace(
        symmetric, plain, pq.Accumulator(8)
    )


def test_deferred_registers_correct_their_own_products() -> None:
    """The rest of (R1, -) is 2 * (3 - 4), that of (R2, -) 2 * 5; a twin operand has no zero point."""
    row = [Operand(3, 0, 0), Operand(5, 2, 1), Operand(-4, 0, 0)]
    value, steps = reference.trace(row, COLUMN, correction(9, "wrap", alignment="deferred"))
    assert value == 3 * 1 + (5 << 2) * 4 - 4 * 6
    assert [(s.pair, s.depth_index, s.term) for s in steps] == [
        ((0, 0), 0, -3), ((0, 0), 1, 0), ((0, 0), 2, -16), ((0, 0), 3, -2),
        ((1, 0), 0, 0), ((1, 0), 1, 10), ((1, 0), 2, 0), ((1, 0), 3, 10),
    ]  # fmt: skip


def test_trap_names_the_preload_and_the_rest() -> None:
    u3 = pq.Uniform(3, 1.0, signed=False, zero_point=4)
    a, b = pq.QuantizedArray([[5, 5]], u3), pq.QuantizedArray([[7], [7]], u3)
    for bits, step in ((5, -1), (6, 1)):
        for multiply in (pq.matmul, pq.reference.matmul):
            with pytest.raises(pq.AccumulatorOverflowError, match=f"at step {step}; 7 bits") as caught:
                multiply(a, b, correction(bits, "trap"))
            assert caught.value.step == step
    # -4 * 6 + 70 = 46 is the largest; the rest of -40 then leaves 6.
    assert pq.matmul(a, b, correction(7, "trap")).acc.item() == 6
    a = pq.QuantizedArray([[0, 0]], pq.Uniform(3, 1.0, signed=False))
    b = pq.QuantizedArray([[3], [3]], pq.Uniform(3, 1.0, zero_point=-4))
    assert pq.matmul(a, b, correction(2, "trap")).acc.item() == 0
    a = pq.QuantizedArray([[1, 1]], a.format)
    b = pq.QuantizedArray([[0], [0]], b.format)
    with pytest.raises(pq.AccumulatorOverflowError, match="at step 2; 5 bits"):
        pq.matmul(a, b, correction(4, "trap"))


def test_integers_have_no_zero_point() -> None:
    with pytest.raises(TypeError, match=r"an integer has lost its own; give QuantizedArray or Operand instead"):
        reference.trace([1, 2], [3, 4], correction(8, "wrap"))


def test_plain_data_and_repr_say_it_only_where_it_is() -> None:
    plain, corrected = pq.Accumulator(20), correction(20, "wrap")
    assert "zero_point" not in plain.to_dict()
    assert "zero_point" not in repr(plain)
    assert plain == pq.Accumulator(20, zero_point="operand") != corrected
    assert corrected.to_dict()["zero_point"] == "correction"
    assert pq.Accumulator.from_dict(corrected.to_dict()) == corrected
    assert "zero_point='correction'" in repr(corrected)
    with pytest.raises(ValueError, match=r"unknown zero point 'corrected'.*Did you mean 'correction'"):
        pq.Accumulator(20, zero_point="corrected")


# --- bounds -----------------------------------------------------------------------------------------------------------


TWO_BITS = [pq.Uniform(2, 1.0, signed=True, zero_point=zero) for zero in (-2, -1, 0, 1)]
TWO_BITS += [pq.Uniform(2, 1.0, signed=False, zero_point=zero) for zero in (0, 1, 2, 3)]


def reached(a_format: pq.Uniform, columns: Iterator[tuple[int, ...]], b_format: pq.Uniform, depth: int) -> list[Step]:
    """Every step of every row of codes with some columns of codes, in tiles as deep as the product."""
    accumulator = correction(30, "wrap", f"split:{depth}:30")
    steps = []
    for column in columns:
        w = [reference.operand(code, b_format) for code in column]
        for row in product(range(4), repeat=depth):
            steps += reference.trace([reference.operand(code, a_format) for code in row], w, accumulator)[1]
    return steps


def ends(steps: list[Step], register: str) -> tuple[int, int]:
    seen = [0, *(step.exact for step in steps if step.register == register)]
    return min(seen), max(seen)


@pytest.mark.parametrize("a_format", TWO_BITS, ids=str)
@pytest.mark.parametrize("b_format", TWO_BITS, ids=str)
def test_datatype_bound_of_a_correction_is_reached(a_format: pq.Uniform, b_format: pq.Uniform) -> None:
    steps = reached(a_format, product(range(4), repeat=2), b_format, 2)
    for register, tile in (("accumulator", False), ("inner", True)):
        bound = bounds.datatype(a_format, b_format, 2, zero_point="correction", tile=tile)
        if a_format.zero_point == b_format.zero_point == 0:
            assert bound == bounds.datatype(a_format, b_format, 2)
        assert (bound.lowest, bound.highest) == ends(steps, register)


@pytest.mark.parametrize("a_format", TWO_BITS, ids=str)
@pytest.mark.parametrize("b_format", TWO_BITS, ids=str)
def test_weight_aware_bound_of_a_correction_holds(a_format: pq.Uniform, b_format: pq.Uniform) -> None:
    """It is that of any order of the products: taken one by one, in all orders, they reach it.

    Each addition into the register is seen, as tiles have one product.
    """
    for column in ((0, 1, 3), (2, 2, 1)):
        steps = []
        for order in permutations(column):
            w = [reference.operand(code, b_format) for code in order]
            for row in product(range(4), repeat=3):
                a = [reference.operand(code, a_format) for code in row]
                steps += reference.trace(a, w, correction(30, "wrap", "split:1:30"))[1]
        weights = pq.QuantizedArray([[code] for code in column], b_format)
        bound = bounds.weight_aware(a_format, weights, zero_point="correction")
        assert (bound.lowest, bound.highest) == ends(steps, "accumulator")
        tiles = ends(reached(a_format, permutations(column), b_format, 3), "inner")
        inner = bounds.weight_aware(a_format, weights, zero_point="correction", tile=True)
        assert (inner.lowest, inner.highest) == tiles


@pytest.mark.parametrize("zero_point", [0, 3, 255])
def test_row_stochastic_bound_of_a_correction_holds(zero_point: int, rng: np.random.Generator) -> None:
    a_format = pq.Uniform(8, 2.0**-8, signed=False, zero_point=min(zero_point, 255))
    for b_format in (pq.Uniform(8, 1.0, signed=False, zero_point=100), pq.Uniform(8, 1.0, zero_point=-7)):
        for depth in (1, 16, 197):
            scores = np.exp(rng.normal(0, 3, (20, depth)))
            a = pq.quantize((scores / scores.sum(axis=1, keepdims=True)).astype(np.float32), a_format)
            b = pq.QuantizedArray(rng.integers(0, 256, (depth, 20)), b_format)
            for known in (b, b_format):
                for place in ("operand", "correction"):
                    overflow = pq.matmul(a, b, pq.Accumulator(40, "wrap", "split:16:40", "product", place)).overflow
                    assert overflow is not None
                    seen = overflow.prefixes
                    bound = bounds.row_stochastic(a_format, known, depth, zero_point=place)
                    assert bound.lowest <= seen.lowest
                    assert seen.highest <= bound.highest
                    inner = bounds.row_stochastic(a_format, known, depth, zero_point=place, tile=True)
                    assert inner.lowest <= seen.inner_lowest
                    assert seen.inner_highest <= inner.highest


def test_asymmetric_operands_in_the_bounds() -> None:
    """255 * -128 * 384 and 255 * 127 * 384 take 24 bits and one more; of the operand 255 - 113 is the largest."""
    u8, s8 = pq.Uniform(8, 1.0, signed=False), pq.Uniform(8, 1.0)
    assert (bounds.datatype(u8, s8, 384).lowest, bounds.datatype(u8, s8, 384).highest) == (-12533760, 12435840)
    z = pq.Uniform(8, 1.0, signed=False, zero_point=113)
    assert bounds.datatype(z, s8, 384).lowest == 384 * 142 * -128
    assert pq.required_bits(z, s8, 384) == 24


def test_what_could_need_more_than_63_bits_is_refused() -> None:
    """The products of integers, the constant and the rest count where zero points are corrected."""
    narrow, wide = pq.Uniform(16, 1.0, signed=False), pq.Uniform(16, 1.0, signed=False, zero_point=65535)
    for depth, bits in ((1 << 29, 62), (1 << 30, 63), (1 << 31, 64)):
        depth = min(depth, (1 << 31) - 1)
        assert result_bits(narrow, narrow, depth, pq.Accumulator(63)) == bits
    assert result_bits(wide, wide, (1 << 31) - 1, correction(63, "wrap")) == 64
