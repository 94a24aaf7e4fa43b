"""Proofs about a unit."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated

import typer

import ptqsim as pq
from ptqsim.cli.framework.options import (
    AlignmentOption,
    AUnsignedOption,
    AZeroPointOption,
    BitsOption,
    BUnsignedOption,
    BZeroPointOption,
    OrderOption,
    OverflowOption,
    ZeroPointOption,
)
from ptqsim.cli.framework.output import JsonOption, Output
from ptqsim.cli.network.layer_codes import refuse
from ptqsim.cli.rtl.integer_unit import (
    NARROW,
    DivisionOption,
    FormulationOption,
    SettingOption,
    UnitFileOption,
    WhatArgument,
    hardware_of,
    prove_unit,
)
from ptqsim.cli.rtl.unit import (
    MOST_SECONDS,
    ABitsOption,
    AFormatOption,
    BBitsOption,
    DepthOption,
    ShiftOption,
    ZeroPoints,
    describe,
    make_unit,
)
from ptqsim.datapath.spec import ZeroPoint
from ptqsim.rtl.proofs.arithmetic import arithmetic_claims
from ptqsim.rtl.proofs.circuits import circuit_claims
from ptqsim.rtl.proofs.claim import SKIPPED, decide
from ptqsim.rtl.proofs.replay import (
    Counterexample,
    correction_saturates_otherwise,
    deferred_saturates_otherwise,
    narrower_than_the_bound,
)


def prove(
    what: WhatArgument = None,
    bits: BitsOption = 14,
    overflow: OverflowOption = "wrap",
    order: OrderOption = "sequential",
    alignment: AlignmentOption = "product",
    depth: DepthOption = 64,
    a_bits: ABitsOption = 5,
    b_bits: BBitsOption = None,
    shift: ShiftOption = None,
    a_format: AFormatOption = None,
    a_unsigned: AUnsignedOption = False,
    a_zero_point: AZeroPointOption = 0,
    b_unsigned: BUnsignedOption = False,
    b_zero_point: BZeroPointOption = 0,
    zero_point: ZeroPointOption = "operand",
    timeout: Annotated[float, typer.Option("--timeout", min=1, max=MOST_SECONDS, help="Seconds per claim.")] = 600.0,
    formulation: FormulationOption = None,
    setting: SettingOption = None,
    unit_file: UnitFileOption = None,
    division: DivisionOption = None,
    circuits: Annotated[bool, typer.Option("--circuits/--no-circuits", help="Also the claims about the RTL.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Prove what vectors cannot show, and refute what is false, so that each proof is seen to have teeth.

    z3 decides the arithmetic, the SAT solver of Yosys the circuits. Exit status 1 if a true claim was not proven or a
    false one not refuted; a claim that was skipped, as its tool is missing, is listed as that and is no pass either.

    With the name of an integer unit, as in *ptqsim rtl prove gelu*, the claims are about that unit.
    """
    out = Output(as_json)
    if what is not None or unit_file is not None:
        hardware = hardware_of(
            what or "unit", formulation, setting, unit_file, division, 1, "behavioral", "ptqsim", NARROW
        )
        prove_unit(out, hardware, timeout)
        return
    refuse({"--formulation": formulation, "--setting": setting, "--division": division}, "no integer unit was named")
    given = ZeroPoints(a_unsigned, a_zero_point, b_unsigned, b_zero_point, zero_point)
    unit = make_unit(bits, overflow, order, alignment, depth, a_bits, b_bits, shift, a_format, zero_points=given)
    claims = arithmetic_claims(unit.a, unit.b, unit.accumulator, depth) + (circuit_claims(unit) if circuits else [])
    verdicts = [decide(claim, timeout) for claim in out.track(claims, "proving", "claim")]
    rows = [
        (one.claim.name, one.outcome, "true" if one.claim.holds else "false", f"{one.seconds:.1f}",
         one.detail or one.claim.statement)
        for one in verdicts
    ]  # fmt: skip
    out.table(["claim", "outcome", "claim is", "seconds", "statement or counterexample"], rows, title=describe(unit))
    shown = [narrower_than_the_bound(unit.a, unit.b, depth)]
    if unit.twins:
        # A register of the width of one term is full after two of them.
        shown.append(deferred_saturates_otherwise(unit.a, unit.b, min(bits, unit.product.bits + unit.a.shift)))
    if unit.corrects:
        shown.append(correction_saturates_otherwise(unit.a, unit.b, min(bits, unit.product.bits)))
    out.table(
        ["counterexample, replayed", "codes of a", "codes of b", "register", "it gives"],
        [row for one in shown for row in _rows(one)],
    )
    skipped = sum(one.outcome == SKIPPED for one in verdicts)
    good = sum(one.as_expected for one in verdicts)
    out.note(f"{good} of {len(verdicts)} claims decided as expected, {skipped} skipped")
    out.result(
        {
            "unit": unit.to_dict(),
            "claims": [
                {"name": one.claim.name, "statement": one.claim.statement, "true": one.claim.holds,
                 "outcome": one.outcome, "detail": one.detail, "seconds": one.seconds}
                for one in verdicts
            ],
            "counterexamples": [
                {"what": one.what, "a": one.a.codes, "b": one.b.codes, "outputs": one.outputs,
                 "accumulators": [accumulator.to_dict() for accumulator in one.accumulators]}
                for one in shown
            ],
        }
    )  # fmt: skip
    if good < len(verdicts):
        raise typer.Exit(1)


def _rows(shown: Counterexample) -> list[tuple[str, str, str, str, int]]:
    return [
        (shown.what, _runs(shown.a), _runs(shown.b), f"{one.bits} bits, {one.overflow}, {_place(one)}", output)
        for one, output in zip(shown.accumulators, shown.outputs, strict=True)
    ]


def _place(accumulator: pq.Accumulator) -> str:
    corrected = accumulator.zero_point == ZeroPoint.CORRECTION
    return f"{accumulator.alignment}, {accumulator.zero_point}" if corrected else str(accumulator.alignment)


def _runs(array: pq.QuantizedArray) -> str:
    """The codes in their order: those that repeat once, with how often."""
    runs = [(code, len(list(same))) for code, same in groupby(array.codes.ravel().tolist())]
    return ", ".join(str(code) if count == 1 else f"{code} ({count} times)" for code, count in runs)
