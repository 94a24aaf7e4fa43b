"""Small floats and logarithms in hardware: every pair of codes, whole products, proofs and commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import golden, rtl
from ptqsim.cli.framework import app
from ptqsim.rtl import Unit
from ptqsim.rtl.hardware.dot_product import dot_product
from ptqsim.rtl.hardware.step import step
from ptqsim.rtl.hardware.tile import tile
from ptqsim.rtl.proofs.arithmetic import arithmetic_claims, numbers
from ptqsim.rtl.proofs.circuits import circuit_claims
from ptqsim.rtl.proofs.claim import decide
from ptqsim.rtl.simulation.cxxrtl import compile_modules
from tests.rtl.needs import need

PAIRS: list[tuple[pq.NumberFormat, pq.NumberFormat]] = [
    (pq.E2M1, pq.E2M1), (pq.E3M2, pq.Uniform(5, 1.0)), (pq.Minifloat(2, 2, special="ieee"), pq.TwinGELU(4, 2, 1.0)),
    (pq.E4M3, pq.E4M3), (pq.Minifloat(1, 3), pq.E2M3), (pq.Minifloat(3, 0), pq.E3M2), (pq.E3M4, pq.Uniform(8, 1.0)),
    (pq.Log2(3), pq.Uniform(4, 1.0)), (pq.Log2(4, root=2), pq.Uniform(4, 1.0)),
    (pq.Log2(4, root=4, fraction_bits=4), pq.E2M1), (pq.Uniform(4, 1.0, signed=False, zero_point=5), pq.E2M3),
]  # fmt: skip
ORDERS = (("saturate", pq.Sequential()), ("wrap", pq.Tree(3)), ("trap", pq.Split(4, 20)))
UNITS = [
    Unit(a, b, pq.Accumulator(min(40, 18 + i), overflow, order, alignment), 13, multiplier=style)
    for i, (a, b) in enumerate(PAIRS)
    for (overflow, order), alignment, style in (
        (ORDERS[i % 3], ("product", "operand", "deferred")[i % 2 + i // 9], ("baugh_wooley", "behavioral")[i // 2 % 2]),
    )
]


def test_every_pair_of_codes() -> None:
    """One step from zero: the register holds the product of the two reals, in units of both steps."""
    need("yosys", "g++")
    units = [Unit(a, b, pq.Accumulator(62), 1) for a, b in PAIRS]
    for unit, module in zip(units, compile_modules([step(unit) for unit in units]), strict=True):
        x, w = (grid.ravel() for grid in np.meshgrid(numbers(unit.a), numbers(unit.b)))
        found = module.evaluate({"a_code": x, "b_code": w, "acc": np.zeros(len(x), np.int64)})["next_acc"]
        reals = unit.a.decode(x) / unit.a.step * (unit.b.decode(w) / unit.b.step)
        assert np.array_equal(found, reals), unit.a.short()


def test_products_equal_those_of_the_simulator() -> None:
    need("yosys", "g++")
    for unit, module in zip(UNITS, compile_modules([dot_product(unit) for unit in UNITS]), strict=True):
        for depth, seed in ((13, 3), (5, 4)):
            a, b = golden.stimulus(unit.a, unit.b, 10, depth, 9, seed=seed)
            comparison = rtl.compare(rtl.dot_matmul(module, unit, a, b), rtl.expected(a, b, unit.accumulator))
            assert comparison.equal, unit


def test_a_tile() -> None:
    """Steps that are left over are filled up with the code of zero, which is the last one of logarithms."""
    need("yosys", "g++")
    units = [
        Unit(pq.Log2(4, root=2), pq.E2M1, pq.Accumulator(24, "wrap", pq.Tree(3)), 7),
        Unit(pq.E2M3, pq.Log2(3), pq.Accumulator(20, "saturate", pq.Tree(2)), 7),
    ]
    for unit, module in zip(units, compile_modules([tile(unit, 2) for unit in units]), strict=True):
        a, b = golden.stimulus(unit.a, unit.b, 6, 7, 5)
        assert rtl.compare(rtl.tile_matmul(module, unit, 2, a, b), rtl.expected(a, b, unit.accumulator)).equal


@pytest.mark.parametrize("a", [pq.E2M1, pq.Minifloat(2, 2, special="fn"), pq.Log2(3, root=2, fraction_bits=3)], ids=str)
def test_proofs(a: pq.NumberFormat) -> None:
    need("yosys", "z3")
    unit = Unit(a, pq.Uniform(3, 1.0), pq.Accumulator(9))
    claims = circuit_claims(unit)
    assert [claim.name for claim in claims] == ["RTL is gates", "RTL: product is operand"]
    verdicts = [decide(claim, 300) for claim in claims + arithmetic_claims(unit.a, unit.b, unit.accumulator, 24)]
    assert [one.claim.name for one in verdicts if not one.as_expected] == []


def test_what_is_refused() -> None:
    unit = pq.Accumulator(32)
    for a, b, accumulator, words in (
        (pq.E5M2, pq.E5M2, unit, "could need 65 bits"),
        (pq.Minifloat(8, 7), pq.E2M1, unit, "take 262 bits"),
        (pq.E2M1, pq.Uniform(4, 1.0, zero_point=2), pq.Accumulator(32, zero_point="correction"), "legal is 'operand'"),
    ):
        with pytest.raises(ValueError, match=words):
            Unit(a, b, accumulator, 1)
    built = Unit(pq.E4M3, pq.E2M1, unit)
    with pytest.raises(ValueError, match="the unit was built for"):
        rtl.dot_matmul(None, built, *golden.stimulus(pq.E3M4, pq.E2M1, 2, 2, 2))  # type: ignore[arg-type]


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need("yosys", "g++")
    given = ["--a-format", "e2m3", "--b-format", "e2m1", "--bits", "16"]
    assert app.main(["rtl", "generate", *given, "-o", str(tmp_path / "out")]) == 0
    assert "E2M3 codes of 6 bits" in (tmp_path / "out" / "ptqsim_a_decoder.sv").read_text()
    assert app.main(["rtl", "simulate", *given, "--rows", "3", "--cols", "3", "--depth", "5"]) == 0
    capsys.readouterr()
    assert app.main(["rtl", "simulate", "--a-format", "mxfp4"]) == 2
    assert "which ptqsim bounds, vectors and rtl generate take and" in capsys.readouterr().err.replace("\n", " ")
