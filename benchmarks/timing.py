"""Times of calls that take turns with a baseline."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles

Call = Callable[[], object]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds per call in every round: of a contender, and of the baseline right before it."""

    own: tuple[float, ...]
    base: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Median of the contender."""
        return median(self.own)

    @property
    def ratio(self) -> float:
        """Speed relative to the baseline: the median of the ratios of the single rounds.

        What disturbs this machine for longer than a round disturbs both in it.
        """
        return median(self._ratios)

    @property
    def spread(self) -> float:
        """Half the interquartile range of the rounds' own ratios, relative to their median."""
        low, middle, high = quantiles(self._ratios, n=4, method="inclusive")
        return (high - low) / 2 / middle

    @property
    def _ratios(self) -> list[float]:
        return [base / own for base, own in zip(self.base, self.own, strict=True)]


def repeats(call: Call, least: float, clock: Clock) -> int:
    """Number of calls that take at least `least` seconds; the call has been made before."""
    count = 1
    while True:
        start = clock()
        for _ in range(count):
            call()
        taken = clock() - start
        if taken >= least:
            return count
        # A clock that did not move says nothing but that more is needed.
        count = count * 2 if taken <= 0 else min(count * 8, max(count + 1, int(count * least / taken * 1.1) + 1))


def interleaved(
    baseline: Call,
    contenders: Mapping[str, Call],
    rounds: int,
    least: float,
    clock: Clock = time.process_time,
    after_round: Callable[[], None] = lambda: None,
) -> dict[str, Timing]:
    """Time contenders in rounds, the baseline before each of them.

    Parameters
    ----------
    baseline, contenders : Call and mapping of str to Call
        What to call. Everything is called before it is timed.
    rounds : int
        Number of rounds. Each begins with another contender, so that none is always after the same one.
    least : float
        Seconds that a contender or the baseline is repeated for within a round.
    clock : Clock, optional
        Seconds of something: by default CPU time of this process, all threads.
    after_round : callable, optional
        Called after each round.
    """
    names = list(contenders)
    for call in (baseline, *contenders.values()):
        call()
    counts = {name: repeats(contenders[name], least, clock) for name in names}
    base_count = repeats(baseline, least, clock)
    own: dict[str, list[float]] = {name: [] for name in names}
    base: dict[str, list[float]] = {name: [] for name in names}

    def seconds(call: Call, count: int) -> float:
        start = clock()
        for _ in range(count):
            call()
        return (clock() - start) / count

    for number in range(rounds):
        first = number % max(1, len(names))
        for name in names[first:] + names[:first]:
            base[name].append(seconds(baseline, base_count))
            own[name].append(seconds(contenders[name], counts[name]))
        after_round()
    return {name: Timing(tuple(own[name]), tuple(base[name])) for name in names}
