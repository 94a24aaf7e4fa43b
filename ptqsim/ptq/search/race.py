"""The best of many candidates, without every candidate's whole score.

Outputs are computed part by part, and candidates race (Maron and Moore, "Hoeffding races", 1994):

- where every part adds to the score (the Hessian guided metric, the similarity of images), a candidate is given up as
  soon as its partial score exceeds the best whole one of every group, as it can only grow: this loses nothing;
- a candidate is given up that is behind the leader of every group by more than `SURE` standard errors.  What is
  compared is the ratio of their scores on the same rows, images or parts, of which there must be `SAMPLES`; where the
  units that add most came first, the last half of them stands for what is to come.

The second can lose the best candidate to one that it can't tell from it. `ptqsim bench --calibration` measures how
often, and how much worse the choice is.

Candidates that share the best score are all reported: :mod:`ptqsim.ptq.search.ties` chooses among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.ptq.search.candidates import Candidates
from ptqsim.ptq.search.objectives import Objective, Scores, Sums
from ptqsim.ptq.search.outputs.products import Partials

Chosen = tuple[int, ...]
"""One candidate number per group."""

SAMPLES: Final = 4
"""Rows, images or parts that two candidates are compared on, at least."""
SURE: Final = 8.0
"""Standard errors."""


@dataclass(frozen=True)
class Outcome:
    """Result of a race.

    Attributes
    ----------
    best : float64 array [groups]
        The best score of each group; infinite where none is finite.
    tied : tuple of tuple of int
        The candidates of each group that the objective cannot tell from its best, in their order: those of the same
        score; all of them where no two scores differ by more than rounding, or none is finite.
    finished : int
        Candidates that ran to the end.
    """

    best: Scores
    tied: tuple[Chosen, ...]
    finished: int

    @property
    def chosen(self) -> Chosen:
        """The first of the best candidates of each group."""
        return tuple(tied[0] for tied in self.tied)


def race(space: Candidates, partials: Partials, parts: int, objective: Objective) -> Outcome:
    """The best candidates of each group.

    Parameters
    ----------
    space : Candidates
    partials : callable
        The sums of each part, for one candidate.
    parts : int
        Number of parts.
    objective : Objective
    """
    track = _Track(space, partials, objective)
    racing = list(range(len(space)))
    done = 0
    for stop in stops(parts, objective.additive) if len(space) > 1 else []:
        for candidate in racing:
            track.run(candidate, done, stop)
        done = stop
        if not racing:
            break
        racing = track.promising(racing)
        if objective.additive and not track.finished:
            for leader in track.leaders(racing):  # so that there is a whole score to exceed
                track.finish(leader, done)
        racing = [candidate for candidate in racing if not track.is_out(candidate)]
    for candidate in racing:
        track.finish(candidate, done)
    finished = track.finished
    candidates = sorted(finished)
    scores = np.stack([finished[c] for c in candidates])
    best = scores.min(axis=0)
    tied = scores == best
    if len(finished) == len(space):
        tied |= _alike(scores, objective.resolution) & np.isfinite(scores)
    groups = [tuple(c for c, same in zip(candidates, column, strict=True) if same) for column in tied.T]
    return Outcome(best, tuple(groups), len(finished))


def _alike(scores: Scores, resolution: float) -> NDArray[np.bool_]:
    """The groups whose finite scores [candidate, group] differ by rounding at most."""
    finite = np.isfinite(scores)
    spread = np.where(finite, scores, -np.inf).max(axis=0) - np.where(finite, scores, np.inf).min(axis=0)
    alike: NDArray[np.bool_] = spread <= resolution
    return alike


def stops(parts: int, growing: bool) -> list[int]:
    """Numbers of parts after which candidates are given up: each time that what was seen has doubled."""
    if growing:
        return list(range(1, parts))
    return [SAMPLES << i for i in range(parts.bit_length()) if SAMPLES << i < parts]


class _Track:
    """Partial scores of each candidate."""

    def __init__(self, space: Candidates, partials: Partials, objective: Objective) -> None:
        self.space, self.partials, self.objective = space, partials, objective
        self.totals: list[Sums | None] = [None] * len(space)
        self.samples: list[Scores] = [np.empty((0, 0))] * len(space)  # [sample, group]
        self.finished: dict[int, Scores] = {}
        self.best: Scores | None = None

    def run(self, candidate: int, start: int, stop: int) -> None:
        """Parts `start` to `stop` of a candidate."""
        laps = []
        for sums in islice(self.partials(self.space.formats[candidate], start), stop - start):
            self._add(candidate, sums)
            laps.append(self._joined(sums).T if self.objective.additive else self._score(sums)[None])
        before = [self.samples[candidate]] if start else []
        self.samples[candidate] = np.concatenate((*before, *laps))

    def leaders(self, racing: list[int]) -> list[int]:
        """The candidate that leads each group."""
        scores = np.array([self._score_of(candidate) for candidate in racing])
        return [racing[c] for c in dict.fromkeys(scores.argmin(axis=0).tolist())]

    def promising(self, racing: list[int]) -> list[int]:
        """Those that could be the best of a group, the most promising first."""
        scores = np.array([self._score_of(candidate) for candidate in racing])  # [candidate, group]
        samples = np.array([self.samples[candidate] for candidate in racing])  # [candidate, sample, group]
        if self.objective.additive:  # the first are those that add most: the last are more like what is to come
            samples = samples[:, -max(SAMPLES, samples.shape[1] // 2) :]
        of_leader = samples[scores.argmin(axis=0), :, np.arange(samples.shape[2])].T
        least = scores.min(axis=0)
        kept = (_behind(samples, of_leader) <= 0) | (scores <= least + self.objective.resolution)
        order = np.argsort((scores / np.where(least > 0, least, 1.0)).sum(axis=1), kind="stable")
        return [racing[c] for c in order if kept[c].any()]

    def finish(self, candidate: int, start: int) -> None:
        """The parts from `start` on of a candidate, to the end or until it is out."""
        if self.is_out(candidate):
            return
        for sums in self.partials(self.space.formats[candidate], start):
            self._add(candidate, sums)
            if self.is_out(candidate):
                return
        self.finished[candidate] = score = self._score_of(candidate)
        self.best = score if self.best is None else np.minimum(self.best, score)

    def is_out(self, candidate: int) -> bool:
        """True if it is finished, or its partial score exceeds the best complete one of every group."""
        if candidate in self.finished:
            return True
        if not self.objective.additive or self.best is None or self.totals[candidate] is None:
            return False
        return bool((self._score_of(candidate) > self.best + self.objective.resolution).all())

    def _add(self, candidate: int, sums: Sums) -> None:
        total = self.totals[candidate]
        added = sums.sum(axis=1, keepdims=True) if self.objective.additive else sums
        self.totals[candidate] = added if total is None else total + added

    def _score_of(self, candidate: int) -> Scores:
        """The score so far; one that is no number is the worst there is."""
        total = self.totals[candidate]
        assert total is not None
        score = self._score(total)
        return np.where(np.isnan(score), np.inf, score)

    def _score(self, sums: Sums) -> Scores:
        return self._joined(self.objective.score(sums))

    def _joined(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """One operand scale for all groups is judged by their sum."""
        return values.sum(axis=0, keepdims=True) if self.space.groups == 1 else values


def _behind(samples: NDArray[np.float64], of_leader: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much each candidate is surely behind, as a share of the leader's score: [candidate, group]."""
    count = samples.shape[1]
    whole = of_leader.sum(axis=0)
    if count < SAMPLES:
        return np.zeros((len(samples), len(whole)))
    difference = samples - of_leader
    share = difference.sum(axis=1) / np.where(whole > 0, whole, 1.0)
    # standard error of a ratio of sums (Cochran, Sampling Techniques, section 6.4)
    rest = difference - share[:, None, :] * of_leader
    error = np.sqrt((rest**2).sum(axis=1) * count / (count - 1)) / np.where(whole > 0, whole, 1.0)
    return np.where(whole > 0, share - SURE * error, 0.0)
