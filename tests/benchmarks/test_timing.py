"""Turns, repeats and medians, on a clock that is moved by what is called."""

from __future__ import annotations

import pytest

from benchmarks.timing import Timing, interleaved, repeats


class Clock:
    """Stands still but while something is called."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def costing(self, name: str, *seconds: float):
        """A call that takes the given seconds in turn, the last of them from then on."""
        left = list(seconds)

        def call() -> None:
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return call


def test_the_baseline_comes_before_every_contender_and_the_order_rotates() -> None:
    clock = Clock()
    contenders = {name: clock.costing(name, 1.0) for name in "abc"}
    interleaved(clock.costing("base", 1.0), contenders, rounds=3, least=1.0, clock=clock)
    warm_and_counted = 2 * 4  # each once to warm up, and once to find how often to repeat
    rounds = clock.calls[warm_and_counted:]
    assert rounds[::2] == ["base"] * 9
    assert rounds[1::2] == [*"abc", *"bca", *"cab"]


def test_medians_ignore_a_disturbed_round() -> None:
    clock = Clock()
    # Warm-up and count take the first two seconds of each.
    own = clock.costing("own", 2.0, 2.0, 2.0, 50.0, 2.0)
    base = clock.costing("base", 4.0, 4.0, 4.0, 4.0, 90.0, 4.0)
    timing = interleaved(base, {"own": own}, rounds=5, least=1.0, clock=clock)["own"]
    assert timing.own == (2.0, 50.0, 2.0, 2.0, 2.0)
    assert timing.base == (4.0, 4.0, 90.0, 4.0, 4.0)
    assert timing.seconds == 2.0
    assert timing.ratio == 2.0


def test_short_calls_are_repeated_until_a_round_is_long_enough() -> None:
    clock = Clock()
    call = clock.costing("short", 0.001)
    count = repeats(call, 0.05, clock)
    assert 50 <= count <= 100
    timing = interleaved(clock.costing("base", 0.004), {"short": call}, rounds=3, least=0.05, clock=clock)["short"]
    assert timing.own == pytest.approx((0.001,) * 3)
    assert timing.ratio == pytest.approx(4.0)


def test_a_clock_of_coarse_ticks_ends() -> None:
    ticks = Clock()
    fine = Clock()
    call = fine.costing("call", 0.001)

    def coarse() -> float:
        ticks.now = fine.now // 0.016 * 0.016
        return ticks.now

    assert repeats(call, 0.05, coarse) * 0.001 >= 0.05 - 0.016


def test_rounds_are_told() -> None:
    clock, told = Clock(), []
    interleaved(
        clock.costing("base", 1.0), {"a": clock.costing("a", 1.0)}, 4, 1.0, clock, after_round=lambda: told.append(1)
    )
    assert len(told) == 4


def test_spread_is_half_the_interquartile_range() -> None:
    # Ratios 1, 2, 3, 4, 5: quartiles 2 and 4, median 3.
    assert Timing(own=(1.0,) * 5, base=(1.0, 2.0, 3.0, 4.0, 5.0)).spread == pytest.approx(1 / 3)
    assert Timing(own=(2.0,) * 5, base=(4.0,) * 5).spread == 0.0


def test_what_disturbs_both_of_a_round_does_not_count_between_them() -> None:
    timing = Timing(own=(1.0, 8.0, 8.0, 1.0, 8.0), base=(2.0, 16.0, 16.0, 2.0, 2.0))
    assert timing.ratio == 2.0
