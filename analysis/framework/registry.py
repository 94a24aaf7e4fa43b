"""Every figure and table by the name that the command line calls it; each imported only when it is made."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from analysis import PACKAGE
from ptqsim.errors import unknown_name

if TYPE_CHECKING:
    from analysis.framework.artifact import Artifact

FIGURES: Final[dict[str, str]] = {
    "detection.attention": "analysis.detection.attention:Attention",
    "detection.detections": "analysis.detection.detections:Detections",
    "detection.safe_width": "analysis.detection.safe_width:DetectorSafeWidth",
    "docs.overflow": "analysis.docs.overflow:Overflow",
    "docs.requantize": "analysis.docs.requantize:RequantizeRoundings",
    "docs.rounding": "analysis.docs.rounding:Rounding",
    "docs.steps": "analysis.docs.steps:Steps",
    "hardware.area": "analysis.hardware.area:Area",
    "hardware.area_accuracy": "analysis.hardware.area_accuracy:AreaAccuracy",
    "liu2021.fig1": "analysis.papers.liu2021.fig1_nuclear_norm:NuclearNorm",
    "ptq4vit.fig1": "analysis.papers.ptq4vit.fig1_overview:Overview",
    "ptq4vit.fig2": "analysis.papers.ptq4vit.fig2_distributions:Distributions",
    "ptq4vit.fig3": "analysis.papers.ptq4vit.fig3_points:UniformPoints",
    "ptq4vit.fig4": "analysis.papers.ptq4vit.fig4_twin_points:TwinPoints",
    "ptq4vit.fig5": "analysis.papers.ptq4vit.fig5_metrics:Metrics",
    "ptq4vit.range_rule": "analysis.papers.ptq4vit.range_rule:RangeRule",
    "simulator.codes": "analysis.simulator.codes:Codes",
    "simulator.departure": "analysis.simulator.departure:Departure",
    "simulator.power_of_two": "analysis.simulator.power_of_two:PowerOfTwo",
    "simulator.safe_width": "analysis.simulator.safe_width:SafeWidth",
    "simulator.storage": "analysis.simulator.storage:Storage",
    "simulator.width_accuracy": "analysis.simulator.width_accuracy:WidthAccuracy",
}
"""What has a picture."""

TABLES: Final[dict[str, str]] = {
    "liu2021.table1": "analysis.papers.liu2021.table1_accuracy:Classification",
    "liu2021.table2": "analysis.papers.liu2021.table2_detection:Detection",
    "liu2021.table3": "analysis.papers.liu2021.table3_ablation:Ablation",
    "liu2021.table4": "analysis.papers.liu2021.table4_mixed_precision:MixedPrecision",
    "methods.accuracy": "analysis.methods.accuracy:MethodAccuracy",
    "ptq4vit.draws": "analysis.papers.ptq4vit.draws:Draws",
    "ptq4vit.hyperparameters": "analysis.papers.ptq4vit.hyperparameters:Hyperparameters",
    "ptq4vit.table1": "analysis.papers.ptq4vit.table1_accuracy:QuantizedAccuracy",
    "ptq4vit.table2": "analysis.papers.ptq4vit.table2_methods:Methods",
    "ptq4vit.table3": "analysis.papers.ptq4vit.table3_ablation:Ablation",
    "ptq4vit.table4": "analysis.papers.ptq4vit.table4_calibration_images:CalibrationImages",
}

LONG: Final = ("methods.accuracy",)
"""What takes hours, and so is made only if it is named."""

ARTIFACTS: Final[dict[str, str]] = {**FIGURES, **TABLES}


def artifact(name: str) -> Artifact:
    """The artifact of that name with its default options; an unknown name is a ValueError that suggests the nearest."""
    if name not in ARTIFACTS:
        raise unknown_name("figure or table", name, ARTIFACTS)
    module, _, attribute = ARTIFACTS[name].partition(":")
    made: Artifact = getattr(import_module(module, PACKAGE), attribute)()
    return made
