"""Dividers and roots for every input of a width, and the latency that their headers state."""

from __future__ import annotations

import re
from functools import cache
from math import isqrt

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import units
from ptqsim.rtl import CycleSchedule
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.simulation.cxxrtl import CxxrtlModule, compile_modules
from ptqsim.rtl.units.parts.divider import divider
from ptqsim.rtl.units.reciprocal_root import reciprocal_root
from ptqsim.units.reference import layer_norm as reference
from tests.rtl.needs import need

NORMS = {
    f"{root}-{precision}-{bits}": units.LayerNorm(
        pq.Uniform(8, 1.0), (1,), (0,), 0, 2, bits, precision, 4, 4, root
    )
    for root in ("bits", "newton")
    for precision, bits in ((4, 6), (6, 7), (8, 4))
}  # fmt: skip


@cache
def compiled() -> dict[str, CxxrtlModule]:
    modules = {name: reciprocal_root(f"root_{number}", unit) for number, (name, unit) in enumerate(NORMS.items())}
    modules |= {"divider": divider("divider", 8, 4, 6, remainder=True), "lanes": divider("lanes", 6, 3, 6, lanes=2)}
    return dict(zip(modules, compile_modules(list(modules.values())), strict=True))


def latency(simulated: CxxrtlModule, data: dict[str, int]) -> int:
    """Cycles from the edge at which an input is taken to the first cycle in which its result is offered."""
    rows = 400
    once = np.arange(rows) == 4
    given = {"rst": (np.arange(rows) < 2).astype(int), "in_valid": once.astype(int), "out_ready": 1} | data
    found = simulated.evaluate(given)
    assert found["in_ready"][4] == 1
    return int(np.flatnonzero(found["out_valid"][5:])[0]) + 1


def stated(module: Module) -> int:
    match = re.search(r"offered (\d+) cycles after", " ".join(module.header.split()))
    assert match is not None
    return int(match[1])


@pytest.mark.parametrize("name", NORMS)
def test_every_variance(name: str) -> None:
    """All of up to 2^14 variances: root, reciprocal and pairs of bits are those of the reference."""
    need("yosys", "g++")
    unit, simulated = NORMS[name], compiled()[name]
    bits = simulated.module.inputs[2].signal.bits
    variance = np.arange(1, 1 << bits)
    found = simulated.stream({"in": {"in_variance": variance}}, len(variance), {}, CycleSchedule(seed=1, patience=100))
    wanted = [reference.reciprocal_root(value, unit.precision) for value in variance.tolist()]
    assert found["out_root"].tolist() == [one.root for one in wanted]
    assert found["out_reciprocal"].tolist() == [one.reciprocal for one in wanted]
    assert found["out_pairs"].tolist() == [unit.precision - one.exponent // 2 for one in wanted]
    assert all(one.root == isqrt(one.radicand) for one in wanted)
    assert latency(simulated, {"in_variance": 5}) == stated(simulated.module)


def test_every_quotient_that_fits() -> None:
    need("yosys", "g++")
    simulated = compiled()["divider"]
    dividend, divisor = (grid.ravel() for grid in np.meshgrid(np.arange(256), np.arange(1, 16)))
    fits = dividend // divisor < 64
    given = {"in_dividend": dividend[fits], "in_divisor": divisor[fits]}
    found = simulated.stream({"in": given}, int(fits.sum()), {}, CycleSchedule(seed=2))
    assert np.array_equal(found["out_quotient"], dividend[fits] // divisor[fits])
    assert np.array_equal(found["out_inexact"], dividend[fits] % divisor[fits] != 0)
    assert latency(simulated, {"in_dividend": 200, "in_divisor": 7}) == stated(simulated.module)


def test_divisions_side_by_side() -> None:
    need("yosys", "g++")
    rng = np.random.default_rng(0)
    dividend, divisor = rng.integers(0, 64, (500, 2)), rng.integers(1, 8, (500, 2))
    found = compiled()["lanes"].stream(
        {"in": {"in_dividend": dividend, "in_divisor": divisor}}, 500, {}, CycleSchedule()
    )
    assert np.array_equal(found["out_quotient"], dividend // divisor)
