"""The alternating scale search that all methods share (PTQ4ViT section 3.1 and Algorithm 1, lines 7 to 14).

It chooses what the full grid chooses, in a fraction of the work: candidates race each other
(:mod:`ptqsim.ptq.search.race`), and a round that changes nothing is a fixed point; the rounds after it would repeat it
and are not run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from ptqsim.ptq.network.products.blocked import Side
from ptqsim.ptq.network.products.fake_quant import Format
from ptqsim.ptq.search.asymmetric import AsymmetricCandidates, nearest_to
from ptqsim.ptq.search.candidates import Candidates
from ptqsim.ptq.search.capture import OperationData
from ptqsim.ptq.search.objectives import Objective
from ptqsim.ptq.search.outputs.products import Partials, Products
from ptqsim.ptq.search.per_channel.columns import ChannelCandidates
from ptqsim.ptq.search.per_channel.search import search_channels
from ptqsim.ptq.search.race import Chosen, Outcome, race
from ptqsim.ptq.search.ties import SQUARED_ERROR, Parts, Tie, break_ties

Formats = tuple[Format, ...]
Space = Candidates | AsymmetricCandidates
Spaces = tuple[Space, Space | ChannelCandidates]


def check_rounds(rounds: int) -> None:
    """Refuse a number of rounds out of range with a ValueError that says what is legal."""
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}; legal is 1 or more: PTQ4ViT's is 3")


@dataclass(frozen=True)
class SearchSchedule:
    """In which order a search goes through the operands, and what it does between.

    Attributes
    ----------
    rounds : int
        Rounds at most; 1 or more.
    first : {"a", "b"}
        The operand that is searched first in a round, with the other in its initial format.
    float_b : bool
        Search a against the float b.
    correct_bias : bool
        Take the mean error of every output unit off the output after each round (Liu et al., Bias Correction).
    """

    rounds: int
    first: Side = "a"
    float_b: bool = False
    correct_bias: bool = False

    def __post_init__(self) -> None:
        check_rounds(self.rounds)


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    Attributes
    ----------
    a, b : tuple of int
        The chosen candidate of each group.
    score : float
        Objective of the choice, summed over the groups.
    rounds : int
        Rounds run until nothing changed, at most those asked for.
    evaluated, pruned : int
        Candidates evaluated in full, and given up on the way; of scales per channel once for every channel.
    ties : tuple of Tie
        Where the objective could not tell candidates apart when it was last asked, and what chose among them.
    """

    a: Chosen
    b: Chosen
    score: float
    rounds: int
    evaluated: int
    pruned: int
    ties: tuple[Tie, ...] = ()


class _Found(NamedTuple):
    """Result of one search of one operand, as the fields of `SearchResult`; `chosen` has a candidate of each group."""

    chosen: Chosen
    ties: list[Tie]
    score: float
    evaluated: int
    pruned: int


def alternate(
    data: OperationData,
    spaces: Spaces,
    start: tuple[Formats, Formats],
    objective: Objective,
    schedule: SearchSchedule,
    *,
    constant_b: bool,
) -> SearchResult:
    """Search the candidates of one operand with the other fixed, then those of the other, round after round.

    Groups are independent where both operands have one scale per group: each takes its own best candidate from one
    pass over the list.  An operand with a single scale takes the best of the sum.  A weight with a scale per channel
    takes the best of each column, all columns at once (:mod:`ptqsim.ptq.search.per_channel.race`).  Of an operand with
    a zero point first the scale is searched, then the zero point (:mod:`ptqsim.ptq.search.asymmetric`).

    Parameters
    ----------
    data : OperationData
    spaces : Candidates or AsymmetricCandidates, and these or ChannelCandidates
        Candidates of a and of b; those of a constant b may have a scale for each of its columns.
    start : two tuples of formats
        Formats of a and of b before the first round: max / 2**(bits-1) (Algorithm 1, line 8).
    objective : Objective
    schedule : SearchSchedule
    constant_b : bool
        True if b is a weight, the same for all rows of a.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a score that is not finite is the worst there is
        return _alternate(data, spaces, start, objective, schedule, constant_b)


def _alternate(
    data: OperationData,
    spaces: Spaces,
    start: tuple[Formats, Formats],
    objective: Objective,
    schedule: SearchSchedule,
    constant_b: bool,
) -> SearchResult:
    space: dict[Side, Space | ChannelCandidates] = dict(zip(_OPERANDS, spaces, strict=True))
    typical = (spaces[0].typical, spaces[1].typical)
    products = Products(data, objective, constant_b, typical)
    formats: dict[Side, Formats] = dict(zip(_OPERANDS, start, strict=True))
    chosen: dict[Side, Chosen] = {"a": (), "b": ()}
    order: tuple[Side, Side] = ("a", "b") if schedule.first == "a" else ("b", "a")
    ties: dict[Side, list[Tie]] = {"a": [], "b": []}
    score, done, evaluated, pruned = float("nan"), 0, 0, 0
    settled = False
    # Where a search goes on from the one before it, or a bias is corrected, only a whole round repeats itself.
    whole_rounds = schedule.correct_bias or any(
        isinstance(each, AsymmetricCandidates) and each.is_placed for each in spaces
    )

    def partials(of: Products, operand: Side) -> Partials:
        if operand == "b":
            return of.with_a(formats["a"])
        return of.with_b(None if schedule.float_b else formats["b"])

    def search(operand: Side) -> _Found:
        candidates = space[operand]
        if isinstance(candidates, ChannelCandidates):
            best = search_channels(products, candidates, formats["a"], objective)
            return _Found(best.chosen, list(best.ties), best.score, best.evaluated, best.pruned)
        if isinstance(candidates, AsymmetricCandidates):
            return search_lines(operand, candidates)
        return decided(operand, candidates, raced(operand, candidates))

    def search_lines(operand: Side, candidates: AsymmetricCandidates) -> _Found:
        held = candidates.parts(chosen[operand])[1] or candidates.first
        line = candidates.line_of_scales(held)
        scales = decided(operand, line, raced(operand, line))
        if not candidates.is_placed:
            return scales
        line = candidates.line_of_zero_points(scales.chosen)
        outcome = raced(operand, line)
        left = len(candidates) - scales.evaluated - outcome.finished
        number = candidates.joined(scales.chosen, nearest_to(outcome, held))
        evaluated = scales.evaluated + outcome.finished
        return _Found(number, scales.ties, float(outcome.best.sum()), evaluated, left)

    def raced(operand: Side, candidates: Candidates) -> Outcome:
        return race(candidates, partials(products, operand), len(products.parts), objective)

    def decided(operand: Side, candidates: Candidates, outcome: Outcome) -> _Found:
        number, ties = break_ties(operand, data, candidates, outcome, objective.name, partial(squared_error, operand))
        pruned = len(candidates) - outcome.finished
        return _Found(number, ties, float(outcome.best.sum()), outcome.finished, pruned)

    def squared_error(operand: Side) -> Parts:
        of = Products(data, SQUARED_ERROR, constant_b, typical)
        of.error = products.error
        return Parts(partials(of, operand), len(of.parts))

    while done < schedule.rounds and not settled:
        done += 1
        before = dict(chosen)
        for operand in order:
            found, ties[operand], score, finished, given_up = search(operand)
            evaluated, pruned = evaluated + finished, pruned + given_up
            # the other operand was searched for this very choice; with a new bias it has to be searched again
            settled = found == chosen[operand] and not whole_rounds
            chosen[operand], formats[operand] = found, space[operand].choose(found)
            if settled:
                break
        if whole_rounds:
            settled = chosen == before  # the bias and the zero points are those that this round began with
        if schedule.correct_bias:
            products.correct(formats["a"], formats["b"])
    return SearchResult(chosen["a"], chosen["b"], score, done, evaluated, pruned, (*ties["a"], *ties["b"]))


_OPERANDS: Final[tuple[Side, Side]] = ("a", "b")
