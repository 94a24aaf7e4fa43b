"""Every pair of codes in every variant and mode, with registers at their corners: one step of the hardware.

The expectation is written with arrays, from what a code and an addition mean, and shares nothing with either side.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.rtl import Unit
from ptqsim.rtl.hardware.step import registers, step
from ptqsim.rtl.simulation.cxxrtl import CxxrtlModule, compile_modules
from tests.rtl import cases
from tests.rtl.needs import need

Array = NDArray[np.int64]


def bounded(total: Array, bits: int, overflow: str) -> Array:
    half = 1 << (bits - 1)
    return np.clip(total, -half, half - 1) if overflow == "saturate" else (total + half) % (2 * half) - half


def does_not_fit(total: Array, bits: int) -> NDArray[np.bool_]:
    half = 1 << (bits - 1)
    return (total < -half) | (total >= half)


def corners(bits: int, rng: np.random.Generator) -> Array:
    """All values of a narrow register, the corners of a wide one and a few more."""
    half = 1 << (bits - 1)
    if bits <= 5:
        return np.arange(-half, half)
    fixed = [-half, -half + 1, -half // 2, -1, 0, 1, half // 2, half - 2, half - 1]
    return np.array([*fixed, *rng.integers(-half, half, 7)])


def operands(fmt: pq.NumberFormat, codes: Array, shift: int) -> tuple[Array, Array]:
    """Mantissa with its shift applied where `shift` is given, and the range of each code."""
    half = 1 << (fmt.bits - 1)
    flag, magnitude = codes // half, codes % half
    if isinstance(fmt, pq.Uniform):
        return codes - (2 * half * flag if fmt.signed else 0) - fmt.zero_point, np.zeros_like(codes)
    first = -magnitude if isinstance(fmt, pq.TwinGELU) else magnitude
    return np.where(flag == 1, magnitude << shift, first), flag


def stimulus(unit: Unit, rng: np.random.Generator) -> dict[str, Array]:
    """Every pair of codes in lane 0 with every corner of the registers; other lanes, and the rest, at random."""
    held = registers(unit)
    pairs = [grid.ravel() for grid in np.meshgrid(np.arange(unit.a.code_count), np.arange(unit.b.code_count))]
    corner = corners(held[-1].bits, rng)
    rows = len(pairs[0]) * len(corner)
    given: dict[str, Array] = {}
    for (side, fmt), codes in zip(unit.sides, pairs, strict=True):
        lanes = rng.integers(0, fmt.code_count, (rows, unit.lanes))
        lanes[:, 0] = np.tile(codes, len(corner))
        given[f"{side}_code"] = lanes if unit.lanes > 1 else lanes[:, 0]
    for register in held:
        given[register.name] = rng.permuted(np.resize(corners(register.bits, rng), rows))
    given[held[-1].name] = np.repeat(corner, len(pairs[0]))
    if unit.split:
        given["tile_end"] = rng.integers(0, 2, rows)
    if not unit.deferred:
        shifts = {side: fmt.shift for side, fmt in unit.twins}
        given |= {s.name: rng.integers(0, shifts[s.name[2:]] + 1, rows) for s in unit.shift_inputs}
    return given


def wanted(unit: Unit, given: dict[str, Array]) -> dict[str, Array]:
    """The next registers, and whether an addition overflows."""
    rows = len(given["a_code"])
    values, ranges = {}, {}
    for side, fmt in unit.sides:
        codes = given[f"{side}_code"].reshape(rows, unit.lanes)
        shift = given.get(f"m_{side}", np.full(rows, 0 if unit.deferred else fmt.shift))[:, None]
        values[side], ranges[side] = operands(fmt, codes, shift)  # type: ignore[arg-type]
    found: dict[str, Array] = {}
    overflow, events = str(unit.accumulator.overflow), np.zeros(rows, bool)
    for pair in unit.pairs:
        mine = (
            ((ranges["a"] == pair[0]) & (ranges["b"] == pair[1])) if unit.deferred else np.ones_like(ranges["a"], bool)
        )
        term = (values["a"] * values["b"] * mine).sum(axis=1)
        acc, tag = f"acc{unit.tag(pair)}", unit.tag(pair)
        if unit.split:
            end = given["tile_end"].astype(bool)
            total = given[f"inner{tag}"] + term
            events |= does_not_fit(total, unit.inner.bits)
            tile = bounded(total, unit.inner.bits, str(unit.accumulator.inner_overflow))
            found[f"next_inner{tag}"] = np.where(end, 0, tile)
            events |= end & does_not_fit(given[acc] + tile, unit.acc.bits)
            found[f"next_{acc}"] = np.where(end, bounded(given[acc] + tile, unit.acc.bits, overflow), given[acc])
        else:
            events |= does_not_fit(given[acc] + term, unit.acc.bits)
            found[f"next_{acc}"] = bounded(given[acc] + term, unit.acc.bits, overflow)
    return found | ({"overflows": events.astype(np.int64)} if unit.traps else {})


def check(units: list[Unit], rng: np.random.Generator) -> int:
    """Compare all the units; the number of steps."""
    compiled: list[CxxrtlModule] = compile_modules([step(unit) for unit in units])
    steps = 0
    for unit, simulated in zip(units, compiled, strict=True):
        given = stimulus(unit, rng)
        found, expected = simulated.evaluate(given), wanted(unit, given)
        assert found.keys() == expected.keys()
        for name in expected:
            assert np.array_equal(found[name], expected[name]), f"{name} of {unit}"
        steps += len(given["a_code"])
    return steps


def test_variants_of_three_bits(rng: np.random.Generator) -> None:
    """Every ninth of them; all are in the slow tests."""
    need("yosys", "g++")
    assert check(cases.variants(3)[4::9], rng) > 10_000


def test_unsigned_codes_and_zero_points(rng: np.random.Generator) -> None:
    """Every pair of codes of two and of three bits, in every mode and order."""
    need("yosys", "g++")
    count = len(cases.asymmetric(3)) * len(cases.OVERFLOWS) * len(cases.ORDERS)
    for bits in (2, 3):
        assert check(cases.variants(bits)[-count:], rng) > 10_000


def test_tiles_with_a_mode_of_their_own(rng: np.random.Generator) -> None:
    """Pairs of products that saturate before a register that wraps, unsigned times signed, and the other way round."""
    need("yosys", "g++")
    assert check(cases.pairs(3), rng) > 2_000


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("part", range(4))
def test_every_variant(bits: int, part: int, rng: np.random.Generator) -> None:
    need("yosys", "g++")
    check(cases.variants(bits)[part::4], rng)
