"""Operands do what their case says, in every shape that is measured."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from benchmarks.products import oracle
from benchmarks.products.cases import GROUPS, groups_for
from benchmarks.products.contenders import Oracle, contenders
from benchmarks.products.draws import OperandKind, Operands
from benchmarks.products.shapes import QUICK, SHAPES, Shape

SMALL = Shape("small", 2, 9, 96, 12, attention=True)


@pytest.mark.parametrize(
    "operands", sorted({group.operands for group in GROUPS if group.operands.reach}, key=str), ids=str
)
def test_driven_operands_overflow_in_part(operands: Operands) -> None:
    if not operands.possible(SMALL):
        pytest.skip("no codes of these formats overflow that accumulator at this depth")
    a, b = operands.draw(SMALL, 0)
    assert operands.reach is not None
    found = oracle.run(a.aligned(), b.aligned(), pq.Accumulator(operands.reach, "saturate"))
    assert 0.1 < found.clamped / SMALL.outputs < 0.9
    low, high = found.prefixes
    assert low < 0 < high, "both ends of the register are met"


@pytest.mark.parametrize(
    "source",
    [OperandKind("uniform"), OperandKind("softmax", 8, 6), OperandKind("gelu", 8, 4)],
    ids=["uniform", "softmax", "gelu"],
)
def test_natural_operands_cover_their_format(source: OperandKind) -> None:
    a = source.natural(np.random.default_rng(0), (64, 64))
    assert a.format.bits == 8
    values = a.aligned()
    if source.kind == "softmax":
        assert values.min() >= 0
        assert np.allclose(a.real().sum(axis=-1), 1.0, atol=0.05)
    else:
        assert np.abs(values).max() == source.peak
        assert values.min() < 0 < values.max()


def test_draws_are_repeatable_and_seeds_differ() -> None:
    operands = GROUPS[0].operands
    first, again, other = (operands.draw(SMALL, seed)[0].codes for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("shape", [*SHAPES, *QUICK], ids=lambda shape: shape.name)
def test_names_are_unique_and_comparisons_have_their_other_side(shape: Shape) -> None:
    names: set[tuple[str, str]] = set()
    for group in groups_for(shape):
        own = {case.name for case in group.cases}
        assert len(own) == len(group.cases)
        assert all(case.of is None or case.of in own for case in group.cases)
        new = {(f"{group.operands} {group.operands.reach}", name) for name in own}
        assert not new & names
        names |= new


def test_a_pattern_keeps_what_it_is_compared_with() -> None:
    [group] = groups_for(SHAPES[0], "fc1-small/*/tree 16 sat. 20")
    assert {case.name for case in group.cases} == {"saturate 20", "tree 16 sat. 20"}
    assert groups_for(SHAPES[0], "no such case") == []


def test_pairs_saturate_in_part() -> None:
    """The operands of the profile of AVX2 overflow many tiles, which the oracle sees and the exact product does not."""
    [group] = groups_for(QUICK[0], "*pairs*")
    a, b = group.operands.draw(QUICK[0], 0)
    [case] = group.cases
    expected = Oracle(a, b).expected(case)
    assert 0.1 < expected.clamped / QUICK[0].outputs <= 1.0
    assert np.array_equal(pq.matmul(a, b, case.accumulator).acc, expected.acc)
    assert not np.array_equal(expected.acc, a.aligned() @ b.aligned())


def test_reals_are_checked() -> None:
    """Products and reals with a scale per column are those of the oracle, and a wrong one is noticed."""
    [group] = groups_for(QUICK[0], "*channels*")
    assert len(group.cases) == 6
    a, b = group.operands.draw(QUICK[0], 0)
    for case in group.cases:
        for contender in contenders(case, QUICK[0], a, b, Oracle(a, b)).values():
            contender()
            assert contender.wrong() == 0
            if case.way in ("real32", "real64"):
                assert contender.last.dtype == np.dtype(f"float{case.way[4:]}")
                contender.last[0, :2] = -contender.last[0, :2] - 1
                assert contender.wrong() == 2
