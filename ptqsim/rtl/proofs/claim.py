"""A claim, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from ptqsim.rtl import tools

PROVEN: Final = "proven"
REFUTED: Final = "refuted"
SKIPPED: Final = "skipped"
UNDECIDED: Final = "undecided"

Fate = Literal["proven", "refuted", "skipped", "undecided"]


@dataclass(frozen=True, slots=True)
class Claim:
    """Something to be proven, or to be refuted by a counterexample.

    Parameters
    ----------
    name : str
        A few words.
    statement : str
        The claim in words.
    tool : str
        The tool that decides: a key of `tools.INSTALL`.
    decide : callable
        None if the claim holds, else a counterexample in words.
    holds : bool, optional
        True if the claim is true. False claims show that the proof next to them can fail.
    """

    name: str
    statement: str
    tool: str
    decide: Callable[[float], str | None]
    holds: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim and its fate: "proven", "refuted", "undecided" (time was up) or "skipped" (a tool is missing)."""

    claim: Claim
    outcome: Fate
    detail: str
    seconds: float

    @property
    def as_expected(self) -> bool:
        """True if a true claim was proven or a false one refuted; a skipped claim is neither."""
        return self.outcome == (PROVEN if self.claim.holds else REFUTED)


def decide(claim: Claim, timeout: float) -> Verdict:
    """Decide one claim within a number of seconds."""
    start = time.monotonic()
    try:
        tools.find(claim.tool, f"to decide {claim.name!r}")
        counterexample = claim.decide(timeout)
    except tools.MissingToolError as error:
        return Verdict(claim, SKIPPED, str(error), 0.0)
    except tools.ToolTimeoutError as error:
        return Verdict(claim, UNDECIDED, str(error), time.monotonic() - start)
    outcome: Fate = PROVEN if counterexample is None else REFUTED
    return Verdict(claim, outcome, counterexample or "", time.monotonic() - start)
