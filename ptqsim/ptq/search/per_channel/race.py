"""The best scale of every channel of a weight, all of them searched at once.

In each channel candidates race as in :mod:`ptqsim.ptq.search.race`, by the same two rules: what exceeds the best whole
score is given up, and so is what is behind the leader by more than `SURE` standard errors. Channels do not wait for
each other: a candidate that is given up in one is still computed for the others, and only there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptqsim.kernels.calibration import channels as kernels
from ptqsim.ptq.search.objectives import Scores
from ptqsim.ptq.search.per_channel.columns import ChannelProducts, Channels
from ptqsim.ptq.search.per_channel.objectives import ChannelObjective
from ptqsim.ptq.search.race import SAMPLES, SURE, stops

Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Candidates, and the channels they are of."""


@dataclass(frozen=True)
class ChannelOutcome:
    """Result of a race in every channel.

    Attributes
    ----------
    best : float64 array [N]
        The best score of each channel; infinite where none is finite.
    tied : bool array [C, N]
        The candidates of each channel that the objective cannot tell from its best.
    scores : float64 array [C, N]
        Whole scores; infinite of candidates that did not run to the end.
    finished : int
        Pairs of a candidate and a channel that ran to the end.
    """

    best: Scores
    tied: NDArray[np.bool_]
    scores: NDArray[np.float64]
    finished: int


def channel_race(products: ChannelProducts, objective: ChannelObjective, racing: NDArray[np.bool_]) -> ChannelOutcome:
    """The best candidates of each channel.

    Parameters
    ----------
    products : ChannelProducts
        Prepared for the objective.
    objective : ChannelObjective
    racing : bool array [C, N]
        The candidates that take part; channels without any are left out.
    """
    scores = np.full(racing.shape, np.inf)
    left = np.zeros(racing.shape, np.bool_)
    for block in products.blocks():
        if (own := block[racing[:, block].any(axis=0)]).size:
            track = _Track(products, objective, own, racing[:, own])
            track.run()
            scores[:, own], left[:, own] = track.scores, track.racing
    best = scores.min(axis=0)
    tied = left & (scores == best)
    unpruned = (left == racing).all(axis=0)
    finite = np.isfinite(scores) & left
    spread = np.where(finite, scores, -np.inf).max(axis=0) - np.where(finite, scores, np.inf).min(axis=0)
    tied |= finite & unpruned & (spread <= objective.resolution)
    return ChannelOutcome(best, tied, scores, int(left.sum()))


class _Track:
    """The candidates of one block of channels, and their scores so far.

    Attributes
    ----------
    racing : bool array [C, n]
        Candidates that are not given up.
    scores : float64 array [C, n]
        Their scores so far; infinite of the others.
    """

    def __init__(
        self, products: ChannelProducts, objective: ChannelObjective, block: Channels, racing: NDArray[np.bool_]
    ) -> None:
        self.products, self.objective, self.block = products, objective, block
        self.racing = racing.copy()
        self.scores = np.full(racing.shape, np.inf)
        self._sums: NDArray[np.float64] | None = None  # [C, n, k]
        self._samples: list[NDArray[np.float64]] = []  # of each part so far [C, n], where parts are what is compared
        self._best: Scores | None = None

    def run(self) -> None:
        """Give up what cannot win, and take the rest to the end."""
        done, parts = 0, self.products.parts
        for stop in stops(parts, self.objective.additive) if len(self.racing) > 1 else []:
            if self.racing.sum(axis=0).max() == 1:
                break
            pairs = self._pairs()
            samples = self._add(pairs, done, stop)
            done = stop
            self._keep(pairs, self._promising(pairs, samples))
            if self.objective.additive:
                if self._best is None:
                    self._best = self._whole_scores_of_leaders(done)
                pairs = self._pairs()
                limit = self._best[pairs[1]] + self.objective.resolution
                self._keep(pairs, ~(self.scores[pairs] > limit))
        if done < parts:
            self._add(self._pairs(), done, parts)

    def _pairs(self) -> Pairs:
        """Candidates and channels that still race."""
        candidates, channels = self.racing.nonzero()
        return candidates, channels

    def _add(self, pairs: Pairs, start: int, stop: int) -> NDArray[np.float64]:
        """Run the parts `start` to `stop`, and return what the pairs are compared by, [P, samples]."""
        laps = []
        for judged in self.products.judged(pairs[0], self.block[pairs[1]], start, stop):
            if self._sums is None:
                self._sums = np.zeros((*self.racing.shape, judged.sums.shape[1]))
            self._sums[pairs] += judged.sums
            laps.append(judged.samples)
        assert self._sums is not None
        score = self.objective.score(self._sums[pairs])
        self.scores[pairs] = np.where(np.isnan(score), np.inf, score)
        if self.objective.additive:  # the last rows, as the first are those that add most
            return laps[-1]
        for lap in laps:
            self._samples.append(np.full(self.racing.shape, np.nan))
            self._samples[-1][pairs] = lap[:, 0]
        return np.stack([of_part[pairs] for of_part in self._samples], axis=1)

    def _promising(self, pairs: Pairs, samples: NDArray[np.float64]) -> NDArray[np.bool_]:
        """The pairs that could be the best of their channel."""
        leaders = self.scores.argmin(axis=0)
        scores, least = self.scores[pairs], self.scores.min(axis=0)[pairs[1]]
        kept: NDArray[np.bool_] = scores <= least + self.objective.resolution
        if samples.shape[1] < SAMPLES:
            return np.ones_like(kept)
        number = np.zeros(self.racing.shape, np.intp)
        number[pairs] = np.arange(len(scores))
        behind = np.empty(len(scores))
        kernels.behind(samples, number[leaders[pairs[1]], pairs[1]], SURE, behind)
        return kept | ~(behind > 0)

    def _whole_scores_of_leaders(self, done: int) -> Scores:
        """The scores that the channels' leaders have in the end."""
        assert self._sums is not None
        every = np.arange(len(self.block))
        leaders = self.scores.argmin(axis=0)
        total = self._sums[leaders, every].copy()
        for judged in self.products.judged(leaders, self.block, done, self.products.parts):
            total += judged.sums
        score = self.objective.score(total)
        return np.where(np.isnan(score), np.inf, score)

    def _keep(self, pairs: Pairs, kept: NDArray[np.bool_]) -> None:
        given_up = pairs[0][~kept], pairs[1][~kept]
        self.racing[given_up] = False
        self.scores[given_up] = np.inf
