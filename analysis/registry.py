"""Every figure and table by the name that the command line calls it; each imported only when it is made."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from ptqsim.errors import unknown_name

if TYPE_CHECKING:
    from analysis.artifact import Artifact, Table

ARTIFACTS: Final[dict[str, str]] = {
    "docs.overflow": "analysis.docs.overflow:Overflow",
    "docs.requantize": "analysis.docs.requantize:RequantizeRoundings",
    "docs.rounding": "analysis.docs.rounding:Rounding",
    "docs.steps": "analysis.docs.steps:Steps",
    "ptq4vit.fig2": "analysis.ptq4vit.fig2_distributions:Distributions",
    "ptq4vit.fig3": "analysis.ptq4vit.fig3_points:UniformPoints",
    "ptq4vit.fig4": "analysis.ptq4vit.fig4_twin_points:TwinPoints",
    "ptq4vit.fig5": "analysis.ptq4vit.fig5_metrics:Metrics",
    "ptq4vit.range_rule": "analysis.ptq4vit.range_rule:RangeRule",
}

TABLES: Final[dict[str, str]] = {"methods.accuracy": "analysis.methods.accuracy:MethodAccuracy"}


def table(name: str) -> Table:
    """The table of that name with its default options; an unknown name is a ValueError that suggests the nearest."""
    if name not in TABLES:
        raise unknown_name("table", name, TABLES)
    module, _, attribute = TABLES[name].partition(":")
    made: Table = getattr(import_module(module), attribute)()
    return made


def artifact(name: str) -> Artifact:
    """The artifact of that name with its default options; an unknown name is a ValueError that suggests the nearest."""
    if name not in ARTIFACTS:
        raise unknown_name("figure or table", name, ARTIFACTS)
    module, _, attribute = ARTIFACTS[name].partition(":")
    made: Artifact = getattr(import_module(module), attribute)()
    return made
