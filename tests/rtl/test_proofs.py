"""True claims are proven, false ones refuted, and counterexamples replayed on the simulator and on the hardware."""

from __future__ import annotations

from dataclasses import replace

import pytest

import ptqsim as pq
from ptqsim import rtl
from ptqsim.rtl import Unit, tools
from ptqsim.rtl.hardware.step import step
from ptqsim.rtl.proofs.arithmetic import arithmetic_claims
from ptqsim.rtl.proofs.circuits import circuit_claims, same
from ptqsim.rtl.proofs.claim import PROVEN, SKIPPED, UNDECIDED, Claim, Verdict, decide
from ptqsim.rtl.proofs.correction import correction_claims
from ptqsim.rtl.proofs.replay import (
    correction_saturates_otherwise,
    deferred_saturates_otherwise,
    narrower_than_the_bound,
)
from tests.rtl import mutants
from tests.rtl.needs import need

TIMEOUT = 300.0
FORMATS = {
    "softmax": (pq.TwinSoftmax(8, 6), pq.Uniform(8, 1.0)),
    "gelu": (pq.TwinGELU(8, 4, 1.0), pq.Uniform(6, 1.0)),
    "uniform": (pq.Uniform(6, 1.0), pq.Uniform(8, 1.0)),
}
CORRECTED = pq.Uniform(3, 1.0, signed=False, zero_point=5), pq.Uniform(3, 1.0, zero_point=-2)


def failures(verdicts: list[Verdict]) -> list[str]:
    return [f"{one.claim.name}: {one.outcome} {one.detail}" for one in verdicts if not one.as_expected]


@pytest.mark.parametrize("kind", FORMATS)
def test_arithmetic(kind: str) -> None:
    need("z3")
    a, b = FORMATS[kind]
    claims = arithmetic_claims(a, b, pq.Accumulator(24), depth=384)
    assert {claim.holds for claim in claims} == {True, False}
    assert failures([decide(claim, TIMEOUT) for claim in claims]) == []


@pytest.mark.parametrize("kind", [pq.TwinSoftmax(3, 2), pq.TwinGELU(3, 2, 1.0)], ids=["softmax", "gelu"])
def test_circuits(kind: pq.NumberFormat) -> None:
    need("yosys")
    unit = Unit(kind, pq.Uniform(3, 1.0), pq.Accumulator(9))
    claims = circuit_claims(unit)
    assert len(claims) == 4
    assert failures([decide(claim, TIMEOUT) for claim in claims]) == []


def test_corrections_in_integers() -> None:
    """Equal exactly and under wrap, and not when saturating."""
    need("z3")
    a, b = pq.Uniform(4, 1.0, signed=False, zero_point=11), pq.Uniform(8, 1.0, zero_point=-3)
    claims = correction_claims(a, b, 16)
    assert [claim.holds for claim in claims] == [True, True, True, False]
    assert failures([decide(claim, TIMEOUT) for claim in claims]) == []


@pytest.mark.parametrize("a", [CORRECTED[0], pytest.param(pq.TwinGELU(3, 2, 1.0), marks=pytest.mark.slow)])
def test_circuits_of_corrections(a: pq.NumberFormat) -> None:
    need("yosys")
    unit = Unit(a, CORRECTED[1], pq.Accumulator(9, zero_point="correction"))
    claims = [claim for claim in circuit_claims(unit) if "correction" in claim.name]
    assert [claim.holds for claim in claims] == [True, False]
    assert failures([decide(claim, TIMEOUT) for claim in claims]) == []


def test_a_correction_saturates_otherwise() -> None:
    """The counterexample on the reference: the two places of the zero points give what the simulator says of them."""
    shown = correction_saturates_otherwise(*CORRECTED, 6)
    assert shown.outputs[0] != shown.outputs[1]
    for accumulator, output in zip(shown.accumulators, shown.outputs, strict=True):
        assert pq.reference.matmul(shown.a, shown.b, accumulator) == [[output]]
    with pytest.raises(ValueError, match="give a narrower one"):
        correction_saturates_otherwise(*CORRECTED, 40)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [4, 6, 8])
def test_wider_circuits_of_corrections(bits: int) -> None:
    need("yosys")
    a, b = pq.Uniform(bits, 1.0, signed=False, zero_point=3), pq.Uniform(bits, 1.0, zero_point=-1)
    unit = Unit(a, b, pq.Accumulator(2 * bits + 4, zero_point="correction"))
    assert failures([decide(claim, 1800.0) for claim in circuit_claims(unit)]) == []


@pytest.mark.slow
@pytest.mark.parametrize("bits", [5, 6, 8])
@pytest.mark.parametrize("kind", ["softmax", "gelu"])
def test_wider_circuits(kind: str, bits: int) -> None:
    need("yosys")
    a = pq.TwinGELU(bits, 4, 1.0) if kind == "gelu" else pq.TwinSoftmax(bits, 4)
    unit = Unit(a, pq.Uniform(bits, 1.0), pq.Accumulator(2 * bits + 6, "saturate" if kind == "gelu" else "wrap"))
    assert failures([decide(claim, 1800.0) for claim in circuit_claims(unit)]) == []


@pytest.mark.parametrize("name", ["shift_one_short", "gelu_sign_lost", "no_guard_bit"])
def test_a_proof_case_by_case_refutes_a_planted_bug(name: str) -> None:
    """The counterexample against the reference: what the right step gives is right, and the wrong one differs."""
    need("yosys")
    unit = replace(mutants.UNITS[mutants.MUTANTS[name].unit], name="gold")
    wrong = next(part for part in mutants.planted(name).hierarchy() if part.name == "ptqsim_step")
    found = same(unit, wrong, TIMEOUT)
    assert found is not None
    values = dict(zip(found.split()[::3], map(int, found.split()[2::3]), strict=True))
    bits = unit.acc.bits

    def signed(register: str) -> int:
        return (values[register] ^ (1 << (bits - 1))) - (1 << (bits - 1))

    a, b = (pq.reference.operand(values[f"in_{side}_code"], fmt).aligned for side, fmt in unit.sides)
    right = pq.reference.add(signed("in_acc"), a * b, bits, unit.accumulator.overflow)
    assert (signed("gold_next_acc"), signed("gate_next_acc") == right) == (right, False)
    assert same(unit, step(replace(unit, name="gate")), TIMEOUT) is None


@pytest.mark.parametrize("kind", FORMATS)
def test_one_bit_less_than_the_bound_overflows(kind: str) -> None:
    """On the simulator: the width that `bounds` names never traps, one bit less does."""
    a, b = FORMATS[kind]
    shown = narrower_than_the_bound(a, b, 300)
    exact, narrow = (replace(one, overflow="trap") for one in shown.accumulators)
    assert pq.matmul(shown.a, shown.b, exact).exact
    with pytest.raises(pq.AccumulatorOverflowError):
        pq.matmul(shown.a, shown.b, narrow)
    assert shown.outputs[0] != shown.outputs[1]


def test_deferred_is_not_product_when_saturating() -> None:
    """The counterexample on the hardware: both units give what the simulator says of them, and differ."""
    need("yosys", "g++")
    a, b = pq.TwinSoftmax(4, 3), pq.Uniform(4, 1.0)
    shown = deferred_saturates_otherwise(a, b, 9)
    assert shown.outputs[0] != shown.outputs[1]
    for accumulator, output in zip(shown.accumulators, shown.outputs, strict=True):
        assert pq.reference.matmul(shown.a, shown.b, accumulator) == [[output]]
        unit = Unit(a, b, accumulator, depth=4)
        assert rtl.dot_matmul(rtl.build(rtl.tops(unit)[0]), unit, shown.a, shown.b).acc.tolist() == [[output]]
    with pytest.raises(ValueError, match="give a narrower one"):
        deferred_saturates_otherwise(a, b, 40)


def test_a_skip_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, purpose: str) -> tools.Tool:
        raise tools.MissingToolError(name, purpose)

    monkeypatch.setattr(tools, "find", absent)
    verdict = decide(Claim("c", "s", "z3", lambda timeout: None), 1.0)
    assert (verdict.outcome, verdict.as_expected) == (SKIPPED, False)
    assert "pip install 'ptqsim[rtl]'" in verdict.detail


def test_time_up_is_no_pass() -> None:
    need("z3")

    def slow(timeout: float) -> str | None:
        raise tools.ToolTimeoutError("given up")

    verdict = decide(Claim("c", "s", "z3", slow), 1.0)
    assert (verdict.outcome, verdict.as_expected) == (UNDECIDED, False)
    assert decide(Claim("c", "s", "z3", lambda timeout: None), 1.0).outcome == PROVEN
