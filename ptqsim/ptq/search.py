"""The alternating scale search that all methods share (PTQ4ViT section 3.1 and Algorithm 1, lines 7 to 14).

It returns what the full grid returns, in a fraction of the work:

- outputs are computed in parts that stay in the cache;
- where every part adds to the score (the Hessian guided metric, the similarity of images), a candidate is given up as
  soon as its partial score exceeds the best whole one of every group, as it can only grow;
- a round that changes nothing is a fixed point; the rounds after it would repeat it and are not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from ptqsim.ptq.capture import OperationData
from ptqsim.ptq.fake_quant import Format
from ptqsim.ptq.objectives import Objective, Scores, Sums
from ptqsim.ptq.products import Partials, Products
from ptqsim.ptq.search_space import Candidates

Chosen = tuple[int, ...]
"""One candidate number per group."""
Operand = Literal["a", "b"]
Formats = tuple[Format, ...]


@dataclass(frozen=True)
class Schedule:
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
    first: Operand = "a"
    float_b: bool = False
    correct_bias: bool = False

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"the search was asked for {self.rounds} rounds; legal is 1 or more: PTQ4ViT's is 3")


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes
    ----------
    a, b : tuple of int
        The chosen candidate of each group.
    score : float
        Objective of the choice, summed over the groups.
    rounds : int
        Rounds run until nothing changed, at most those asked for.
    evaluated, pruned : int
        Candidates evaluated in full, and given up on the way.
    """

    a: Chosen
    b: Chosen
    score: float
    rounds: int
    evaluated: int
    pruned: int


def alternate(
    data: OperationData,
    spaces: tuple[Candidates, Candidates],
    start: tuple[Formats, Formats],
    objective: Objective,
    schedule: Schedule,
    *,
    constant_b: bool,
) -> SearchResult:
    """Search the candidates of one operand with the other fixed, then those of the other, round after round.

    Groups are independent where both operands have one scale per group: each takes its own best candidate from one
    pass over the list.  An operand with a single scale takes the best of the sum.

    Parameters
    ----------
    data : OperationData
    spaces : two Candidates
        Of a and of b.
    start : two tuples of formats
        Of a and of b before the first round: max / 2**(bits-1) (Algorithm 1, line 8).
    objective : Objective
    schedule : Schedule
    constant_b : bool
        Whether b is a weight, the same for all rows of a.
    """
    products = Products(data, objective, constant_b)
    space: dict[Operand, Candidates] = dict(zip(_OPERANDS, spaces, strict=True))
    formats: dict[Operand, Formats] = dict(zip(_OPERANDS, start, strict=True))
    chosen: dict[Operand, Chosen] = {"a": (), "b": ()}
    order: tuple[Operand, Operand] = ("a", "b") if schedule.first == "a" else ("b", "a")
    score, done, evaluated, pruned = float("nan"), 0, 0, 0
    settled = False
    while done < schedule.rounds and not settled:
        done += 1
        before = dict(chosen)
        for operand in order:
            if operand == "a":
                partials = products.with_b(None if schedule.float_b else formats["b"])
            else:
                partials = products.with_a(formats["a"])
            found, score, full = _best(space[operand], partials, objective)
            evaluated, pruned = evaluated + full, pruned + len(space[operand]) - full
            # the other operand was searched for this very choice; with a new bias it has to be searched again
            settled = found == chosen[operand] and not schedule.correct_bias
            chosen[operand], formats[operand] = found, space[operand].choose(found)
            if settled:
                break
        if schedule.correct_bias:
            settled = chosen == before  # the bias is the one that this round began with
            products.correct(formats["a"], formats["b"])
    return SearchResult(chosen["a"], chosen["b"], score, done, evaluated, pruned)


_OPERANDS: Final[tuple[Operand, Operand]] = ("a", "b")


def _best(space: Candidates, partials: Partials, objective: Objective) -> tuple[Chosen, float, int]:
    """The first best candidate of each group, the sum of their scores, and how many candidates ran to the end."""

    def scores_of(sums: Sums) -> Scores:
        scores = objective.score(sums)
        return scores.sum(keepdims=True) if space.groups == 1 else scores

    found: dict[int, Scores] = {}
    best: Scores | None = None
    for candidate in _order(len(space), found):
        total: Sums | None = None
        for sums in partials(space.formats[candidate]):
            total = sums if total is None else total + sums
            if objective.additive and best is not None and (scores_of(total) > best).all():
                break
        else:
            assert total is not None
            found[candidate] = scores_of(total)
            best = found[candidate] if best is None else np.minimum(best, found[candidate])
    candidates = sorted(found)
    scores = np.stack([found[c] for c in candidates])
    rows = scores.argmin(axis=0)
    return tuple(candidates[r] for r in rows), float(scores[rows, np.arange(scores.shape[1])].sum()), len(found)


def _order(count: int, found: dict[int, Scores]) -> Iterator[int]:
    """All candidates, every eighth first and then from the best of these outward, so that pruning starts early."""
    coarse = range(count // 2 % 8, count, 8)
    yield from coarse
    center = min(found, key=lambda c: float(found[c].sum())) if found else 0
    yield from sorted(set(range(count)) - set(coarse), key=lambda c: (abs(c - center), c))
