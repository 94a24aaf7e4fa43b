"""The steps of the demo, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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


@dataclass(frozen=True)
class Sizes:
    """Sizes of the parts of a demo.

    Attributes
    ----------
    accuracy, curve, losses : int
        Validation images of the table of accuracy, of the curve over register widths, and of the losses of Fig. 5.
    checked : tuple of int
        Widths whose outputs are recomputed.
    outputs : int
        Outputs of each operation that are recomputed.
    scales, bits : int
        Scales tried in Fig. 5, and the width of the operand that is quantized there.
    """

    accuracy: int
    curve: int
    losses: int
    checked: tuple[int, ...] = (8,)
    outputs: int = 10_000
    scales: int = 26
    bits: int = 4


QUICK: Final = Sizes(accuracy=2000, curve=256, losses=256)
"""For a small network: a few minutes on two cores."""
LARGE: Final = Sizes(accuracy=132, curve=44, losses=44, outputs=2200, scales=13, bits=6)
"""For a network of more than `_SMALL` parameters: twenty minutes on two cores for a ViT-S at 224 pixels."""
_SMALL: Final = 5_000_000


def sizes(workload: Workload, *, full: bool) -> Sizes:
    """Sizes for a network: all validation images, every width checked, or what can be done in some minutes."""
    if full:
        return Sizes(len(workload.validation), curve=2000, losses=1024, checked=(8, 6, 4))
    parameters = sum(parameter.numel() for parameter in workload.network.parameters())
    return QUICK if parameters <= _SMALL else LARGE


def plan(workload: Workload, *, full: bool) -> list[Artifact]:
    """The demo's figures and tables.

    Parameters
    ----------
    workload : Workload
        The sizes are cut down to the validation images that it has.
    full : bool
        All validation images, every width checked; without it, what two cores do in some minutes.
    """
    available, size = len(workload.validation), sizes(workload, full=full)
    return [
        Accuracy(images=min(size.accuracy, available)),
        Exactness(widths=size.checked, outputs=size.outputs),
        SafeWidth(),
        WidthCurve(images=min(size.curve, available)),
        Distributions(),
        UniformPoints(),
        TwinPoints(),
        RangeRule(),
        Metrics(images=min(size.losses, available), points=size.scales, bits=size.bits),
    ]
