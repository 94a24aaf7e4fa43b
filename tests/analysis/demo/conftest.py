"""The demo cut down to a small network, few images and one width."""

from __future__ import annotations

import pytest

from analysis.demo.accuracy import Accuracy
from analysis.demo.exactness import Exactness
from analysis.demo.width_curve import WidthCurve
from analysis.framework.artifact import Figure
from analysis.papers.ptq4vit.fig4_twin_points import TwinPoints
from analysis.simulator.safe_width import SafeWidth
from ptqsim.cli.framework.app import main


@pytest.fixture
def small_plan(monkeypatch):
    parts = [
        Accuracy(widths=(5,), images=12),
        Exactness(widths=(5,), outputs=60),
        SafeWidth(bits=5),
        WidthCurve(bits=5, images=12, floor=0.9),
        TwinPoints(),
    ]
    monkeypatch.setattr("analysis.commands.demo.plan", lambda workload, full: parts)


@pytest.fixture
def no_pictures(monkeypatch):
    """Figures are computed and not drawn, which takes most of the time."""
    monkeypatch.setattr(Figure, "files", lambda self, data: {})


@pytest.fixture
def demo(tiny, small_plan, tmp_path):
    """Runs ``ptqsim demo`` with more arguments and returns its exit status."""
    return lambda *arguments: main(["demo", "--out", str(tmp_path / "out"), "--images", "4", *arguments])
