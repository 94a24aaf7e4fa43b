"""Fig. 1 (below): the nuclear norm of every attention map and MLP output, by which mixed precision weighs modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from matplotlib.ticker import MaxNLocator

from ptqsim import ptq
from ptqsim.ptq.calibration.mixed_precision.modules import transformer_modules
from ptqsim.ptq.calibration.mixed_precision.nuclear_norm import module_errors
from ptqsim.ptq.calibration.mixed_precision.options import Attention
from ptqsim.ptq.threads import one_thread

from ...framework import style
from ...framework.artifact import Figure
from ...framework.frame import Data, Frame
from ...framework.workload import Workload

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class NuclearNorm(Figure):
    """Options: what an attention map is, ``scores`` (Q K^T, as in Eq. 3) or ``probabilities`` (their softmax)."""

    attention: str = "scores"
    name: ClassVar[str] = "liu2021.fig1"
    title: ClassVar[str] = "Nuclear norm of attention maps and MLP outputs, layer by layer"

    def __post_init__(self) -> None:
        Attention.of(self.attention)

    def compute(self, workload: Workload) -> Data:
        """One row per MSA and MLP module: the mean over the calibration images, heads added up (Eq. 16)."""
        quantized = ptq.QuantizedModel(workload.network)
        modules = transformer_modules(quantized.layers)
        wanted = Attention.of(self.attention)
        with one_thread():
            norms, _ = module_errors(quantized, workload.calibration_images, modules, {}, wanted)
        rows = [
            {"module": module.name, "kind": module.kind, "nuclear_norm": norm}
            for module, norm in zip(modules, norms, strict=True)
        ]
        return {"norms": Frame.of_rows(rows)}

    def render(self, data: Data) -> Drawing:
        """MSA left, MLP right, each in the order of the layers."""
        figure, axes = style.panels(1, 2, height=1.5)
        for panel, kind, title in zip(axes, ("msa", "mlp"), ("attention map $A$", "MLP output $O$"), strict=True):
            norms = data["norms"].where(kind=kind).values("nuclear_norm")
            panel.bar(np.arange(len(norms)), norms, color=style.SKY, edgecolor=style.BLUE, linewidth=0.6, width=0.7)
            panel.set_title(title)
            panel.set_xlabel("layer")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
        axes[0].set_ylabel("nuclear norm")
        return figure
