"""The search of a weight's scales per channel, and the choice where an objective cannot decide.

The criteria are those of :mod:`ptqsim.ptq.search.ties`, in every channel by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptqsim.ptq.network.products.fake_quant import Format
from ptqsim.ptq.search.objectives import Objective
from ptqsim.ptq.search.outputs.products import Products
from ptqsim.ptq.search.per_channel.columns import ChannelCandidates, ChannelProducts
from ptqsim.ptq.search.per_channel.objectives import per_channel
from ptqsim.ptq.search.per_channel.race import ChannelOutcome, channel_race
from ptqsim.ptq.search.race import Chosen
from ptqsim.ptq.search.ties import SQUARED_ERROR, Tie


class ChannelChoice(NamedTuple):
    """Result of a search: a candidate for each channel, the sum of the best scores, and how it came about.

    Attributes
    ----------
    chosen : tuple of N int
    score : float
        Summed over the channels.
    evaluated, pruned : int
        Candidates evaluated in full, and given up on the way, each counted once for every channel.
    ties : list of ChannelTie
    """

    chosen: Chosen
    score: float
    evaluated: int
    pruned: int
    ties: list[ChannelTie]


@dataclass(frozen=True)
class ChannelTie(Tie):
    """Candidates of several channels of one group that the objective could not tell apart.

    Attributes
    ----------
    channels : int
        Number of channels in which the same criterion decided; `tied` is the most candidates in any of them.
    """

    channels: int = 0


def search_channels(
    products: Products, candidates: ChannelCandidates, a_formats: tuple[Format, ...], objective: Objective
) -> ChannelChoice:
    """The best scale of every channel of the weight, with the left operand in its formats."""
    judged_by = per_channel(objective)
    of = ChannelProducts(products, candidates, a_formats, judged_by)
    outcome = channel_race(of, judged_by, np.ones((len(candidates), candidates.channels), np.bool_))
    left = outcome.tied.copy()
    undecided = left.sum(axis=0) > 1
    decided_by: dict[str, NDArray[np.bool_]] = {}
    if undecided.any() and objective.name != SQUARED_ERROR.name:
        judged_by = per_channel(SQUARED_ERROR)
        again = ChannelProducts(products, candidates, a_formats, judged_by)
        decided_by["mse"] = undecided
        left[:, undecided] = channel_race(again, judged_by, left & undecided).tied[:, undecided]
    if (open_ := left.sum(axis=0) > 1).any():
        decided_by["own_error"] = open_
        tied = (left & open_).nonzero()
        errors = np.full(left.shape, np.inf)
        errors[tied] = of.own_errors(*tied)
        left[:, open_] &= errors[:, open_] == errors[:, open_].min(axis=0)
    if (open_ := left.sum(axis=0) > 1).any():
        decided_by["maximum"] = open_
        distance = np.where(left, np.abs(candidates.columns.multiples - 1), np.inf)
        left[:, open_] &= distance[:, open_] == distance[:, open_].min(axis=0)
    chosen = tuple(left.argmax(axis=0).tolist())
    number = left.size - outcome.finished
    return ChannelChoice(
        chosen, float(outcome.best.sum()), outcome.finished, number, _ties(candidates, outcome, decided_by)
    )


def _ties(
    candidates: ChannelCandidates, outcome: ChannelOutcome, decided_by: dict[str, NDArray[np.bool_]]
) -> list[ChannelTie]:
    """One entry for each group and criterion; a channel counts for the last that it came to."""
    last = np.full(candidates.channels, "", object)
    for criterion, channels in decided_by.items():
        last[channels] = criterion
    tied, of_group = outcome.tied.sum(axis=0), candidates.channels // candidates.groups
    found = []
    for group in range(candidates.groups):
        part = slice(group * of_group, (group + 1) * of_group)
        for criterion in decided_by:
            channels = last[part] == criterion
            if channels.any():
                most, finite = int(tied[part][channels].max()), np.isfinite(outcome.best[part][channels]).all()
                reason = f"{most} candidates score the same" if finite else "no score is finite"
                number = group if candidates.groups > 1 else None
                found.append(
                    ChannelTie("b", number, most, len(candidates), reason, criterion, channels=int(channels.sum()))
                )
    return found
