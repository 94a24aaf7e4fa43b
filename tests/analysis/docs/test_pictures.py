"""The pictures of docs/: their data against the rules written out, and what the drawings make of it."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from analysis.docs.codes_side_by_side import CodesSideBySide, formats
from analysis.docs.overflow import Overflow
from analysis.docs.requantize import RequantizeRoundings
from analysis.docs.rounding import Rounding
from analysis.docs.staircase import staircase
from analysis.docs.steps import Steps
from analysis.framework import style
from analysis.framework.registry import ARTIFACTS

ROOT = Path(__file__).parents[3]
PICTURES = {
    "docs.codes_side_by_side": CodesSideBySide(),
    "docs.rounding": Rounding(),
    "docs.requantize": RequantizeRoundings(),
    "docs.overflow": Overflow(),
    "docs.steps": Steps(),
}


@pytest.fixture(scope="module")
def data():
    return {name: made.compute(None) for name, made in PICTURES.items()}


def test_rounding_follows_its_rules(data):
    rules = {
        "half_even": round,
        "half_away": lambda t: math.copysign(math.floor(abs(t) + 0.5), t),
        "half_up": lambda t: math.floor(t + 0.5),
        "toward_zero": math.trunc,
    }
    frame = data["docs.rounding"]["rounding"]
    assert set(frame.distinct("mode")) == set(rules)
    for row in frame.records():
        assert row["integer"] == rules[row["mode"]](row["quotient"])
    assert {-1.5, -0.5, 0.5, 1.5} <= set(frame.column("quotient"))


def test_requantizer_roundings_follow_their_rules(data):
    def half_up(t):
        return math.floor(t + 0.5)

    def half_away(t):
        return math.copysign(math.floor(abs(t) + 0.5), t)

    rules = {
        "half_away": half_away,
        "half_even": round,
        "half_up": half_up,
        "truncate": math.floor,
        "toward_zero": math.trunc,
        "tflite_single": half_up,
        "tflite_double": lambda t: half_away(half_up(2 * t) / 2),  # acc/4 is acc * 2**30 / 2**31, then / 2
    }
    frame = data["docs.requantize"]["requantize"]
    assert set(frame.distinct("rounding")) == set(rules)
    for row in frame.records():
        assert row["result"] == rules[row["rounding"]](row["quotient"])


def test_overflow_of_four_bits(data):
    frame = data["docs.overflow"]["overflow"]
    for row in frame.records():
        exact, register = row["exact"], row["register"]
        if -8 <= exact <= 7:
            assert register == exact
        else:
            assert register == {"wrap": exact + (16 if exact < 0 else -16), "saturate": -8 if exact < 0 else 7}.get(
                row["mode"]
            )
    assert frame.distinct("mode") == ["wrap", "saturate", "trap"]


def test_steps_of_fifteen_bits(data):
    frame = data["docs.steps"]["steps"]
    # products of 127 * 127 = 16129 in -16384 .. 16383; 2 * 16129 - 2**15 = -510
    expected = {"wrap": [16129, -510, 15619, -510, 16129], "saturate": [16129, 16383, 16383, 254, -15875]}
    for mode, registers in expected.items():
        assert frame.where(mode=mode).column("register") == registers
        assert frame.where(mode=mode).column("exact") == [16129, 32258, 48387, 32258, 16129]
    assert frame.where(mode="wrap").column("event") == [False, True, False, False, True]
    assert frame.where(mode="saturate").column("event") == [False, True, True, False, False]


def test_codes_side_by_side_are_all_of_four_bits(data):
    """Values counted by hand: of 2^4 codes zero is there twice in all but uniform and log2, in PWLQ +-1/4 as well."""
    frame = data["docs.codes_side_by_side"]["codes"]
    counts = {"uniform": 16, "twin, GELU, $m=3$": 15, "PWLQ, 3+1": 14, "E1M2": 15, "E2M1": 15, "E3M0": 15,
              "twin, softmax, $m=3$": 15, "log2": 16, r"$\log_{\sqrt{2}}$": 16}  # fmt: skip
    assert frame.distinct("format") == list(counts)
    for name, count in counts.items():
        shown = frame.where(format=name)
        assert shown.column("bits") == [4] * 16
        assert shown.column("code") == list(range(16))
        assert len(set(shown.column("value"))) == count
        assert max(map(abs, shown.column("value"))) == 1.0
    assert frame.where(format="E2M1").column("value")[:8] == [v / 12 for v in (0, 1, 2, 3, 4, 6, 8, 12)]
    assert frame.where(format="E3M0").column("value")[1:8] == [2.0**-k for k in range(6, -1, -1)]
    assert frame.where(format="twin, softmax, $m=3$").column("value")[8:] == [v / 7 for v in range(8)]
    assert all(each.storage_bits == 5 for each, _ in formats(5, 2).values())


@pytest.mark.parametrize("name", PICTURES)
def test_text_is_inside_the_picture_and_tick_labels_apart(data, name):
    with style.applied():
        drawing = PICTURES[name].render(data[name])
        drawing.draw_without_rendering()
        for axes in drawing.axes:
            for which in ("x", "y"):
                boxes = [
                    label.get_window_extent()
                    for label in getattr(axes, f"get_{which}ticklabels")()
                    if label.get_visible() and label.get_text()
                ]
                axis = 0 if which == "x" else 1
                boxes.sort(key=lambda box: box.min[axis])
                assert all(a.max[axis] < b.min[axis] for a, b in pairwise(boxes))
            box = axes.get_tightbbox()
            assert min(box.x0, box.y0) >= 0
            assert box.x1 <= drawing.bbox.x1
            assert box.y1 <= drawing.bbox.y1


def test_a_staircase_fills_the_dot_that_belongs_to_a_step():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    x = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    staircase(axes, x, np.array([0, 0, 1, 1, 1]), jumps=np.array([0.0]))
    dots = {(line.get_xdata()[0], line.get_ydata()[0]): line.get_markerfacecolor() for line in axes.lines
            if line.get_marker() == "o"}  # fmt: skip
    assert dots == {(0.0, 0): "white", (0.0, 1): style.BLUE}


def test_every_picture_of_the_docs_is_one_that_can_be_drawn_anew():
    shown = {path.stem for path in (ROOT / "docs" / "images").glob("*.svg")}
    shown -= {"rtl_datapath", "rtl_block"}  # drawn by ptqsim.rtl, and anew in tests/rtl
    real = {name.removeprefix("real.") for name in shown if name.startswith("real.")}  # of the fetched network
    shown = {name for name in shown if not name.startswith("real.")}
    assert shown >= set(PICTURES)
    assert shown | real <= set(ARTIFACTS)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")  # lines that go on
    for variable, names in (("PICTURES", shown), ("REAL", real)):
        (line,) = (line for line in makefile.splitlines() if line.startswith(f"{variable} := "))
        assert set(line.split()[2:]) == names
