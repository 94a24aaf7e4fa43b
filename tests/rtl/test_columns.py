"""Fitted weights in hardware: no input overflows, by proofs of the RTL; with one bit less one does, and is replayed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import fitting, rtl
from ptqsim.cli.framework.app import main
from ptqsim.rtl.hardware.step import step
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.proofs.claim import PROVEN, REFUTED, decide
from ptqsim.rtl.proofs.columns import Column, column_claims, overflowing_input
from tests.rtl.needs import need

TIMEOUT = 300.0
DEPTH = 24
S8, U8 = pq.Uniform(8, 1.0), pq.Uniform(8, 1.0, signed=False, zero_point=113)
U4, GELU, SOFTMAX = pq.Uniform(4, 1.0, signed=False), pq.TwinGELU(8, 3, 1.0), pq.TwinSoftmax(6, 4)
CASES = {
    "signed": (S8, pq.Accumulator(14)),
    "tree": (U8, pq.Accumulator(14, "saturate", "tree:5")),
    "correction": (U8, pq.Accumulator(14, zero_point="correction")),
    "split": (U8, pq.Accumulator(15, "trap", "split:7:13", zero_point="correction")),
    "own mode": (U4, pq.Accumulator(10, "wrap", "split:6:9:saturate")),
    "shifted": (GELU, pq.Accumulator(17)),
    "deferred": (GELU, pq.Accumulator(15, alignment="deferred")),
    "softmax": (SOFTMAX, pq.Accumulator(14, alignment="operand")),
}


def fitted(case: str, depth: int = DEPTH) -> Column:
    a, accumulator = CASES[case]
    weights = np.random.default_rng(1).normal(0, 20, (depth, 1))
    return Column(a, fitting.fit_weights(weights, a, S8, accumulator), accumulator)


@pytest.mark.parametrize("case", CASES)
def test_no_input_overflows_and_a_bit_less_does_not_do(case: str) -> None:
    need("yosys")
    column = fitted(case)
    verdicts = [decide(claim, TIMEOUT) for claim in column_claims(column)]
    assert [(one.outcome, one.claim.holds) for one in verdicts] == [
        (PROVEN, True),
        *[(REFUTED, False)] * len(column.widths),
    ]


def test_weights_as_they_were_are_refuted() -> None:
    need("yosys")
    weights = pq.quantize(np.random.default_rng(1).normal(0, 20, (DEPTH, 1)), S8)
    for case in ("signed", "correction"):
        claim = column_claims(Column(CASES[case][0], weights, CASES[case][1]))[0]
        assert decide(claim, TIMEOUT).outcome == REFUTED


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("case", CASES)
def test_the_counterexample_overflows_the_reference(case: str, seed: int) -> None:
    """One addition of one register fails, in the simulator and in Python integers, and with a bit more none does."""
    a, accumulator = CASES[case]
    weights = pq.quantize(np.random.default_rng(seed).normal(seed - 1, 20, (DEPTH, 1)), S8)
    column = Column(a, weights, accumulator)
    for register in column.widths:
        shown = overflowing_input(column, register)
        counts = []
        for one, output in zip(shown.accumulators, shown.outputs, strict=True):
            result = pq.matmul(shown.a, shown.b, one)
            assert result.acc.item() == output == pq.reference.matmul(shown.a, shown.b, one)[0][0]
            assert result.overflow is not None
            counts.append(result.overflow.events)
        assert counts[0] == 0 < counts[1]
        assert shown.outputs[0] != shown.outputs[1]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case != "deferred"]
)  # whose registers the reference's trace does not name
def test_intervals_hold_what_inputs_reach(case: str, rng: np.random.Generator) -> None:
    """Sums of random inputs, as the reference makes them, are in the intervals, and these are within the bound."""
    column = fitted(case)
    steps = list(column.steps())
    assert len(steps) == -(-DEPTH // column.unit.lanes)
    low, high = steps[-1].sums["acc"]
    bound = fitting.certificate(column.a, column.weights, column.accumulator)["accumulator"]
    assert bound.lowest <= low <= high <= bound.highest
    for _ in range(20):
        codes = rng.integers(0, column.a.code_count, DEPTH)
        row = [pq.reference.operand(int(code), column.a) for code in codes]
        weights = [pq.reference.operand(int(code), column.weights.format) for code in column.weights.codes.ravel()]
        _, done = pq.reference.trace(row, weights, column.accumulator)
        outer = [one.after for one in done if one.register == "accumulator"][column.unit.preloads :]
        seen = [one.sums["acc"] for one in steps if "acc" in one.sums]
        assert all(interval[0] <= value <= interval[1] for value, interval in zip(outer, seen, strict=True))


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [("(register) + ", "(register) - "), ("wire fits = ", "wire fits = 1'b0 & ")],
    ids=["subtracts", "always overflows"],
)
def test_bugs_in_the_circuit_are_found(monkeypatch: pytest.MonkeyPatch, pattern: str, replacement: str) -> None:
    need("yosys")
    column = fitted("signed")

    def changed(module: Module) -> Module:
        parts = tuple(changed(part) for part in module.parts)
        return replace(module, body=module.body.replace(pattern, replacement), parts=parts)

    assert any(pattern in part.body for part in step(column.unit).hierarchy())
    monkeypatch.setattr("ptqsim.rtl.proofs.columns.step", lambda unit: changed(step(unit)))
    assert decide(column_claims(column)[0], TIMEOUT).outcome == REFUTED


def test_a_constant_that_does_not_fit_is_refuted() -> None:
    """It overflows before any product is added."""
    need("yosys")
    weights = pq.quantize(np.full((4, 1), 100.0), S8)
    column = Column(U8, weights, pq.Accumulator(14, zero_point="correction"))
    assert column.constant == -113 * 400
    assert decide(column_claims(column)[0], TIMEOUT).outcome == REFUTED


@pytest.mark.slow
@pytest.mark.parametrize("case", ["signed", "correction", "split", "deferred"])
def test_the_hardware_traps_where_the_simulator_does(case: str) -> None:
    need("yosys", "g++")
    column = fitted(case)
    for register in column.widths:
        shown = overflowing_input(column, register)
        for accumulator, traps in zip(shown.accumulators, (False, True), strict=True):
            ran = rtl.simulate(shown.a, shown.b, replace(accumulator, overflow="trap"))  # type: ignore[arg-type]
            assert ran.equal
            assert ran.found.trapped is not None
            assert ran.found.trapped.all() == traps


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no column": (lambda: Column(S8, pq.quantize([[1, 1]], S8), pq.Accumulator(14)), r"are \[K, 1\], got \(1, 2\)"),
    "a rest": (
        lambda: Column(
            U8,
            pq.QuantizedArray(np.array([[3]]), pq.Uniform(8, 1.0, zero_point=5)),
            pq.Accumulator(14, zero_point="correction"),
        ),
        "a zero point of 5 and the accumulator corrects for it",
    ),
    "two bits": (
        lambda: overflowing_input(Column(U4, pq.quantize(np.zeros((3, 1)), S8), pq.Accumulator(4))),
        "needs 2 bits",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_input(wrong: str) -> None:
    call, message = WRONG[wrong]
    with pytest.raises(ValueError, match=message):
        call()


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need("yosys")
    path = tmp_path / "m.safetensors"
    fit = ["--fit-accumulator", "12", "--fit", "project", "--method", "percentile", "--images", "4"]
    assert main(["calibrate", "--w-bits", "4", "--a-bits", "4", *fit, "-o", str(path)]) == 0
    capsys.readouterr()
    prove = ["rtl", "prove", str(path), "--layer", "blocks.0.attn.proj"]
    assert main([*prove, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["unit"]["accumulator"]["bits"] == 12
    assert found["bits"]["accumulator"] <= 12
    assert [one["outcome"] for one in found["claims"]] == ["proven", "refuted"]
    bits = [one["bits"] for one in found["counterexamples"][0]["accumulators"]]
    assert bits == [found["bits"]["accumulator"], found["bits"]["accumulator"] - 1]
    for options, status, message in (
        (["--bits", str(bits[1])], 1, ""), (["--column", "96"], 2, "--column 96 was given, and layer blocks."),
        (["--group", "1"], 2, "has 1, counted from 0"), (["--order", "tree:4"], 2, "says what its codes"),
        (["--a-unsigned"], 2, "leave --a-unsigned out"), (["--layer", "blocks.0.attn.matmul_qk"], 2, "two activations"),
    ):  # fmt: skip
        assert main([*prove, *options]) == status
        assert message in capsys.readouterr().err
    assert main(["rtl", "prove", "--column", "3"]) == 2
    assert "no calibrated model was given: leave --column out" in capsys.readouterr().err
    assert main(["rtl", "prove", str(path)]) == 2
    assert "try --layer" in capsys.readouterr().err
