"""Claims about the integer units in hardware: the true ones are proven, and the false one beside each is refuted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ptqsim import units
from ptqsim.cli.framework.app import main
from ptqsim.cli.rtl.integer_unit import NARROW
from ptqsim.rtl import UnitHardware
from ptqsim.rtl.proofs import integer_units
from ptqsim.rtl.proofs.claim import REFUTED, Claim, decide
from ptqsim.rtl.proofs.integer_units import overflows, unit_claims
from ptqsim.rtl.units.standard import FORMULATIONS, standard_unit
from ptqsim.units.interval import Interval
from tests.rtl.needs import need

EVERY = [(what, one) for what, names in FORMULATIONS.items() for one in names]
QUICK = {("gelu", "table"), ("rescale", "tensor")}


def hardware_of(what: str, formulation: str) -> UnitHardware:
    unit = standard_unit(what, formulation, NARROW)
    return UnitHardware(unit, length=16 if formulation == "shift_gelu" else None)


def decided(claims: list[Claim], timeout: float) -> None:
    for claim in claims:
        verdict = decide(claim, timeout)
        assert verdict.as_expected, (claim.name, verdict)


@pytest.mark.parametrize(
    ("what", "formulation"), [pytest.param(*one, marks=[] if one in QUICK else pytest.mark.slow) for one in EVERY]
)
def test_claims_about_circuits(what: str, formulation: str) -> None:
    need("yosys", "g++")
    decided([one for one in unit_claims(hardware_of(what, formulation)) if one.tool == "yosys"], 120)


@pytest.mark.parametrize(("what", "formulation"), EVERY)
def test_claims_about_arithmetic(what: str, formulation: str) -> None:
    need("z3")
    decided([one for one in unit_claims(hardware_of(what, formulation)) if one.tool == "z3"], 60)


@pytest.mark.parametrize(("what", "formulation"), [("gelu", "table"), ("residual", "channel"), ("gelu", "i_gelu")])
def test_a_register_of_one_bit_less_overflows_in_the_simulator(what: str, formulation: str) -> None:
    hardware = hardware_of(what, formulation)
    found = {one.name: one for one in overflows(hardware)}
    assert {"biased", "product"} <= found.keys() or {"biased", "stream", "total"} <= found.keys()
    for name, one in found.items():
        narrow = one.bits - 1
        interval = hardware.unit.widths()[name]
        less = (
            Interval(-(1 << (narrow - 1)), (1 << (narrow - 1)) - 1)
            if interval.signed
            else Interval(0, (1 << narrow) - 1)
        )
        rows = [[value] * (hardware.unit.channels or 1) for value in one.inputs.values()]
        assert one.value in hardware.unit.trace(*rows)[name]
        assert one.value not in less
        assert one.value in interval


def test_a_wrong_entry_of_the_table_is_found() -> None:
    need("yosys", "g++")
    unit = standard_unit("gelu", "table", NARROW)
    assert isinstance(unit, units.GELU)
    wrong = replace(unit, table=(*unit.table[:3], unit.table[3] ^ 1, *unit.table[4:]))
    verdict = decide(integer_units.table_claim(wrong), 60)
    assert (verdict.outcome, verdict.detail.partition(",")[0]) == (REFUTED, "index = 3")


def test_prove_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    need("z3")
    assert main(["rtl", "prove", "gelu", "--formulation", "shift_gelu", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [claim["outcome"] for claim in shown["claims"]] == ["proven", "refuted"]
    assert main(["rtl", "prove", "--division", "exact"]) == 2
    assert "no integer unit was named" in capsys.readouterr().err
