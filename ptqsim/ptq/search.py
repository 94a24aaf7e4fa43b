"""The alternating scale search that all methods share (PTQ4ViT section 3.1 and Algorithm 1, lines 7 to 14).

It returns what the full grid returns, in a fraction of the work:

- outputs are computed in parts that stay in the cache;
- where every part adds to the score (the Hessian guided metric), a candidate is given up as soon as its partial score
  exceeds the best whole one of every group, as it can only grow;
- a round that changes nothing is a fixed point; the rounds after it would repeat it and are not run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import torch

from ptqsim.ptq.capture import OperationData
from ptqsim.ptq.fake_quant import Format, fake_quantize
from ptqsim.ptq.objectives import Objective, Scores, Sums
from ptqsim.ptq.search_space import Candidates

Chosen = tuple[int, ...]
"""One candidate number per group."""
Partials = Callable[[tuple[Format, ...]], Iterator[Sums]]
"""From a candidate to the sums of its parts."""

_PART: Final = 2**17  # output elements in one part: half a MiB in float32
_PARTS: Final = 8  # at most; each costs a round of calls


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
    a_space: Candidates,
    b_space: Candidates,
    b_start: tuple[Format, ...],
    objective: Objective,
    rounds: int,
    *,
    constant_b: bool,
) -> SearchResult:
    """Search a's candidates with b fixed, then b's with a fixed, ``rounds`` times.

    Groups are independent where both operands have one scale per group: each takes its own best candidate from one
    pass over the list.  An operand with a single scale takes the best of the sum.

    Parameters
    ----------
    data : OperationData
    a_space, b_space : Candidates
    b_start : tuple of formats
        Delta_B before the first round: max |B| / 2**(bits-1) (Algorithm 1, line 8).
    objective : Objective
    rounds : int
        At least 1.
    constant_b : bool
        Whether b is a weight, the same for all rows of a.
    """
    if rounds < 1:
        raise ValueError(f"the search was asked for {rounds} rounds; legal is 1 or more: the paper's is 3")
    problem = _Problem(data, objective, constant_b)
    b_formats = b_start
    a: Chosen = ()
    b: Chosen = ()
    score, done, evaluated, pruned = float("nan"), 0, 0, 0
    while done < rounds:
        done += 1
        new_a, score, full = _best(a_space, problem.with_b(b_formats), objective)
        evaluated, pruned = evaluated + full, pruned + len(a_space) - full
        if new_a == a:  # b was searched for this very a
            break
        a = new_a
        new_b, score, full = _best(b_space, problem.with_a(a_space.choose(a)), objective)
        evaluated, pruned = evaluated + full, pruned + len(b_space) - full
        if new_b == b:
            break
        b = new_b
        b_formats = b_space.choose(b)
    return SearchResult(a, b, score, done, evaluated, pruned)


class _Problem:
    """One operation's data in parts, with one operand fixed at a time."""

    def __init__(self, data: OperationData, objective: Objective, constant_b: bool) -> None:
        self.constant_b = constant_b
        self.parts = _split(data, constant_b)
        self.sums = [objective.prepare(part) for part in self.parts]
        self.buffers = [torch.empty_like(part.out) for part in self.parts]

    def with_b(self, formats: tuple[Format, ...]) -> Partials:
        """Outputs for candidates of a, b being quantized in ``formats``."""
        if self.constant_b:
            fixed = [fake_quantize(self.parts[0].b, formats)] * len(self.parts)
        else:
            fixed = [fake_quantize(part.b, formats) for part in self.parts]

        def partials(candidate: tuple[Format, ...]) -> Iterator[Sums]:
            for part, b_hat, buffer, sums in zip(self.parts, fixed, self.buffers, self.sums, strict=True):
                yield sums(torch.matmul(fake_quantize(part.a, candidate), b_hat, out=buffer))

        return partials

    def with_a(self, formats: tuple[Format, ...]) -> Partials:
        """Outputs for candidates of b, a being quantized in ``formats``."""
        fixed = [fake_quantize(part.a, formats) for part in self.parts]

        def partials(candidate: tuple[Format, ...]) -> Iterator[Sums]:
            shared = fake_quantize(self.parts[0].b, candidate) if self.constant_b else None
            for part, a_hat, buffer, sums in zip(self.parts, fixed, self.buffers, self.sums, strict=True):
                b_hat = fake_quantize(part.b, candidate) if shared is None else shared
                yield sums(torch.matmul(a_hat, b_hat, out=buffer))

        return partials


def _split(data: OperationData, constant_b: bool) -> list[OperationData]:
    """The data in parts along axis 1: rows, or images of an attention product."""
    length = data.out.shape[1]
    count = max(1, min(_PARTS, data.out.numel() // _PART, length))
    edges = [length * i // count for i in range(count + 1)]
    return [
        OperationData(
            data.a[:, low:high].contiguous(),
            data.b if constant_b else data.b[:, low:high].contiguous(),
            data.out[:, low:high].contiguous(),
            None if data.grad is None else data.grad[:, low:high].contiguous(),
        )
        for low, high in pairwise(edges)
    ]


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
