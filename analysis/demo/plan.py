"""The steps of the demo, in order."""

from __future__ import annotations

from ..framework.artifact import Artifact
from ..framework.workload import Workload
from ..papers.ptq4vit.fig2_distributions import Distributions
from ..papers.ptq4vit.fig3_points import UniformPoints
from ..papers.ptq4vit.fig4_twin_points import TwinPoints
from ..papers.ptq4vit.fig5_metrics import Metrics
from ..papers.ptq4vit.range_rule import RangeRule
from ..simulator.safe_width import SafeWidth
from .accuracy import Accuracy
from .exactness import Exactness
from .width_curve import WidthCurve


def plan(workload: Workload, *, full: bool) -> list[Artifact]:
    """The demo's figures and tables.

    Parameters
    ----------
    workload : Workload
        The sizes below are cut down to the validation images that it has.
    full : bool
        All validation images, every width checked; without it, what two cores do in a few minutes.
    """
    available = len(workload.validation)
    return [
        Accuracy(images=available if full else min(2000, available)),
        Exactness(widths=(8, 6, 4) if full else (8,)),
        SafeWidth(),
        WidthCurve(images=min(2000 if full else 256, available)),
        Distributions(),
        UniformPoints(),
        TwinPoints(),
        RangeRule(),
        Metrics(images=min(1024 if full else 256, available)),
    ]
