"""Cases of blocks and small floats: an oracle that is the reference's, and peers that are asked right."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from benchmarks.products import blocks, float_peers
from benchmarks.products.measure import Plan
from benchmarks.products.shapes import QUICK, Shape

SMALL = Shape("small", 1, 3, 70, 4)


@pytest.mark.parametrize("name", blocks.FORMATS)
def test_sums_are_those_of_the_reference(name: str) -> None:
    a, b = blocks.draw(name, SMALL, 0)
    values = blocks.block_values(a, b)
    register = blocks.fitted_register(values, 12)
    exact = pq.block_reference.values(a, b)
    assert [[[value[i, j] for value in values] for j in range(4)] for i in range(3)] == exact
    assert blocks.in_float32(values).tolist() == pq.block_reference.matmul(a, b, pq.Float32())
    acc, met = blocks.in_fixed_point(values, register)
    assert acc.tolist() == pq.block_reference.matmul(a, b, register)
    statistics = pq.matmul(a, b, register).overflow
    assert statistics is not None
    assert met == statistics.outputs


def test_registers_that_are_fitted_overflow_in_part() -> None:
    a, b = blocks.draw("mxfp8", Shape("small", 1, 20, 200, 20), 0)
    values = blocks.block_values(a, b)
    _, met = blocks.in_fixed_point(values, blocks.fitted_register(values, 24))
    assert 0 < met < 400


def test_patterns_choose_groups() -> None:
    assert [group.name for group in blocks.groups_for(SMALL)] == list(blocks.FORMATS)
    [group] = blocks.groups_for(SMALL, "small/mxfp4*/saturate 24")
    assert (group.name, group.cases, group.peers) == ("mxfp4", ("saturate 24",), False)
    [group] = blocks.groups_for(SMALL, "*peers")
    assert (group.name, group.cases, group.peers) == ("mxfp8", (), True)


def test_rows_of_a_measurement() -> None:
    plan = Plan(3, 0.0, targets="none", shapes=QUICK)
    rows = blocks.measure(QUICK[0], blocks.groups_for(QUICK[0])[1], plan, lambda steps, state: None)
    own = [row for row in rows if not row.peer]
    assert [row.case for row in own] == ["float32 in order", "saturate 24", "saturate 32"]
    assert all(row.wrong == 0 and set(row.timings) == {"prepared", "fresh"} for row in own)
    assert len(rows) == 3 + len(float_peers.decoders())


def test_peers_decode_what_the_codes_stand_for() -> None:
    codes = np.array([code for code in range(256) if code & 0x7F != 0x7F], np.uint8)
    assert float_peers.missing() == [] or float_peers.decoders() is not None
    for decode in float_peers.decoders().values():
        assert np.array_equal(decode(codes), pq.E4M3.decode(codes))


def test_apyfloat_adds_in_order() -> None:
    pytest.importorskip("apytypes")
    rng = np.random.default_rng(0)
    a, b = (pq.E4M3.fake_quantize(rng.normal(size=shape)) for shape in ((3, 20), (20, 2)))
    call = float_peers.apyfloat(a, b)
    assert call is not None
    call()
    assert call.wrong() == 0
