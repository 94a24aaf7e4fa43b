"""Claims and counterexamples as tables and as data, and the exit status that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import typer

import ptqsim as pq
from ptqsim.cli.framework.output import Output
from ptqsim.datapath.spec import ZeroPoint
from ptqsim.rtl.proofs.claim import SKIPPED, Claim, Verdict, decide
from ptqsim.rtl.proofs.replay import Counterexample


def decided(out: Output, claims: Sequence[Claim], timeout: float) -> list[Verdict]:
    """Decide all claims, each within a number of seconds, under a progress bar."""
    return [decide(claim, timeout) for claim in out.track(claims, "proving", "claim")]


def show_claims(out: Output, verdicts: Sequence[Verdict], title: str) -> None:
    """A table with a row for each claim."""
    rows = [
        (one.claim.name, one.outcome, "true" if one.claim.holds else "false", f"{one.seconds:.1f}",
         one.detail or one.claim.statement)
        for one in verdicts
    ]  # fmt: skip
    out.table(["claim", "outcome", "claim is", "seconds", "statement or counterexample"], rows, title=title)


def conclude(
    out: Output, about: Mapping[str, Any], verdicts: Sequence[Verdict], shown: Sequence[Counterexample]
) -> None:
    """Show the counterexamples, give everything as data after `about`, and exit with 1 unless all is as expected."""
    out.table(
        ["counterexample, replayed", "codes of a", "codes of b", "register", "it gives"],
        [row for one in shown for row in _rows(one)],
    )
    skipped = sum(one.outcome == SKIPPED for one in verdicts)
    good = sum(one.as_expected for one in verdicts)
    out.note(f"{good} of {len(verdicts)} claims decided as expected, {skipped} skipped")
    out.result(
        {
            **about,
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


def _runs(array: pq.QuantizedArray, most: int = 6) -> str:
    """The codes in their order: those that repeat once, with how often; the first runs of many."""
    runs = [(code, len(list(same))) for code, same in groupby(array.codes.ravel().tolist())]
    texts = [str(code) if count == 1 else f"{code} ({count} times)" for code, count in runs]
    return ", ".join(texts if len(texts) <= most else [*texts[:most], f"... ({len(array.codes.ravel())} codes)"])
