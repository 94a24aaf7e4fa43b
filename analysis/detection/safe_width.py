"""Accumulator widths of a detector: those of convolutions, and of a decoder whose operands are queries and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from ..framework.frame import Data
from ..framework.workload import Workload
from ..simulator.safe_width import SafeWidth
from .source import of_detector

_SILENT: Final = ("detr", "model", "layers", "layer", "convolution")
_BACKBONE: Final = "detr.model.backbone.model.encoder."
"""Of transformers' backbones; it is not DETR's encoder."""


@dataclass(frozen=True)
class DetectorSafeWidth(SafeWidth):
    """Options as of simulator.safe_width."""

    name: ClassVar[str] = "detection.safe_width"
    title: ClassVar[str] = "Formats of every layer of a detector and the accumulator width that is safe for it"
    networks: ClassVar[tuple[str, ...]] = ("detector",)

    def label(self, layer: str) -> str:
        """Without the parts of the name that say nothing here: ``encoder.0.self_attn.q_proj``."""
        shown: list[str] = []
        for part in layer.replace(_BACKBONE, "backbone.").split("."):
            repeated = part in shown[-1:] and not part.isdigit()
            if part not in _SILENT and not repeated:
                shown.append(part)
        return ".".join(shown)

    def key(self, workload: Workload) -> dict[str, Any]:
        """Of the detector."""
        return SafeWidth.key(self, of_detector(workload))

    def compute(self, workload: Workload) -> Data:
        """As of simulator.safe_width, of the detector."""
        with of_detector(workload) as source:
            return SafeWidth.compute(self, source)
