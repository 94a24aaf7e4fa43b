"""Every figure and table by the name that the command line calls it; each imported only when it is made."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from ptqsim.errors import unknown_name

from .. import PACKAGE

if TYPE_CHECKING:
    from .artifact import Artifact

FIGURES: Final[dict[str, str]] = {
    "detection.attention": ".detection.attention:Attention",
    "detection.detections": ".detection.detections:Detections",
    "detection.safe_width": ".detection.safe_width:DetectorSafeWidth",
    "docs.codes_side_by_side": ".docs.codes_side_by_side:CodesSideBySide",
    "docs.overflow": ".docs.overflow:Overflow",
    "docs.requantize": ".docs.requantize:RequantizeRoundings",
    "docs.rounding": ".docs.rounding:Rounding",
    "docs.steps": ".docs.steps:Steps",
    "formats.trade_off": ".formats.trade_off:TradeOff",
    "hardware.area": ".hardware.area:Area",
    "hardware.area_accuracy": ".hardware.area_accuracy:AreaAccuracy",
    "hardware.unit_accuracy": ".hardware.unit_accuracy:UnitAccuracy",
    "integer_only.precision": ".integer_only.precision:Precision",
    "liu2021.fig1": ".papers.liu2021.fig1_nuclear_norm:NuclearNorm",
    "methods.operand_loss": ".methods.operand_loss:OperandLosses",
    "ptq4vit.fig1": ".papers.ptq4vit.fig1_overview:Overview",
    "ptq4vit.fig2": ".papers.ptq4vit.fig2_distributions:Distributions",
    "ptq4vit.fig3": ".papers.ptq4vit.fig3_points:UniformPoints",
    "ptq4vit.fig4": ".papers.ptq4vit.fig4_twin_points:TwinPoints",
    "ptq4vit.fig5": ".papers.ptq4vit.fig5_metrics:Metrics",
    "ptq4vit.range_rule": ".papers.ptq4vit.range_rule:RangeRule",
    "simulator.codes": ".simulator.codes:Codes",
    "simulator.departure": ".simulator.departure:Departure",
    "simulator.fitted_width": ".simulator.fitted_width:FittedWidth",
    "simulator.power_of_two": ".simulator.power_of_two:PowerOfTwo",
    "simulator.safe_width": ".simulator.safe_width:SafeWidth",
    "simulator.storage": ".simulator.storage:Storage",
    "simulator.width_accuracy": ".simulator.width_accuracy:WidthAccuracy",
}
"""Figures by name."""

TABLES: Final[dict[str, str]] = {
    "formats.accuracy": ".formats.accuracy:FormatAccuracy",
    "integer_only.ladder": ".integer_only.ladder:Ladder",
    "liu2021.table1": ".papers.liu2021.table1_accuracy:Classification",
    "liu2021.table2": ".papers.liu2021.table2_detection:Detection",
    "liu2021.table3": ".papers.liu2021.table3_ablation:Ablation",
    "liu2021.table4": ".papers.liu2021.table4_mixed_precision:MixedPrecision",
    "methods.accuracy": ".methods.accuracy:MethodAccuracy",
    "methods.claims": ".methods.claims:Claims",
    "methods.presets": ".methods.presets:Presets",
    "ptq4vit.draws": ".papers.ptq4vit.draws:Draws",
    "ptq4vit.hyperparameters": ".papers.ptq4vit.hyperparameters:Hyperparameters",
    "ptq4vit.table1": ".papers.ptq4vit.table1_accuracy:QuantizedAccuracy",
    "ptq4vit.table2": ".papers.ptq4vit.table2_methods:Methods",
    "ptq4vit.table3": ".papers.ptq4vit.table3_ablation:Ablation",
    "ptq4vit.table4": ".papers.ptq4vit.table4_calibration_images:CalibrationImages",
}

LONG: Final = ("integer_only.ladder", "methods.accuracy", "methods.claims", "methods.presets")
"""Artifacts that take hours and are made only if they are named."""

ARTIFACTS: Final[dict[str, str]] = {**FIGURES, **TABLES}


def artifact(name: str) -> Artifact:
    """The artifact of that name with its default options; an unknown name is a ValueError that suggests the nearest."""
    if name not in ARTIFACTS:
        raise unknown_name("figure or table", name, ARTIFACTS)
    module, _, attribute = ARTIFACTS[name].partition(":")
    made: Artifact = getattr(import_module(module, PACKAGE), attribute)()
    return made
