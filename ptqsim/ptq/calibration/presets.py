"""Settings of published methods, of the parts that calibration has."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ptqsim.errors import unknown_name
from ptqsim.ptq.calibration.folds.centering import Centering
from ptqsim.ptq.calibration.folds.smoothing import Smoothing
from ptqsim.ptq.calibration.methods import BasePTQ, Method, PTQ4ViT, Reconstruct
from ptqsim.ptq.calibration.operand_rules import Granularity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ptqsim.ptq.calibration.folds.protocol import Fold


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A published method as arguments of :func:`ptqsim.ptq.calibrate`.

    Attributes
    ----------
    name : str
        As ``--preset`` takes it.
    title : str
        As its authors call it.
    source : str
        Paper, and the sections that say what is set here.
    departs : str
        Everything in which this differs from what the paper does.
    images : int
        Calibration images in the paper.
    method : Method
    formats : tuple of pairs of str
        Kinds of operands, and the formats that these have.
    folds : tuple of Fold
    w_granularity : Granularity
    a_symmetric : bool
    """

    name: str
    title: str
    source: str
    departs: str
    images: int
    method: Method
    formats: tuple[tuple[str, str], ...] = ()
    folds: tuple[Fold, ...] = ()
    w_granularity: Granularity = Granularity.CHANNEL
    a_symmetric: bool = False

    def arguments(self) -> dict[str, Any]:
        """Arguments of :func:`ptqsim.ptq.calibrate`, beside the network, the images, the widths and the seed."""
        return {
            "method": self.method,
            "formats": dict(self.formats),
            "folds": self.folds,
            "w_granularity": self.w_granularity,
            "a_symmetric": self.a_symmetric,
        }


_NO_TWINS: Final[Mapping[str, Any]] = MappingProxyType({"softmax_twin": False, "gelu_twin": False})
_BLOCKS: Final = (
    "500 steps on 16 images for each part, where the paper has 20,000 on 32; first and last layer have the width of "
    "all others; scales of weights and biases are learned too; the search before it is PTQ4ViT's without twins"
)

PRESETS: Final[dict[str, Preset]] = {
    preset.name: preset
    for preset in (
        Preset(
            name="adaround",
            title="AdaRound",
            source="Nagel et al., Up or Down? Adaptive Rounding for Post-Training Quantization, ICML 2020, section 3",
            departs="500 steps on 16 images for each layer, where the paper has 10,000 on 32; activations, which the "
            "paper mostly leaves in float, are quantized too; scales are those of PTQ4ViT's search without twins",
            images=1024,
            method=Reconstruct(parts="layer", drop=0.0, scale_rate=0.0, bias_rate=0.0, **_NO_TWINS),
        ),
        Preset(
            name="brecq",
            title="BRECQ",
            source="Li et al., BRECQ: Pushing the Limit of Post-Training Quantization by Block Reconstruction, ICLR "
            "2021, section 3",
            departs=_BLOCKS,
            images=1024,
            method=Reconstruct(drop=0.0, weighting="fisher", **_NO_TWINS),
        ),
        Preset(
            name="qdrop",
            title="QDrop",
            source="Wei et al., QDrop: Randomly Dropping Quantization for Extremely Low-bit Post-Training "
            "Quantization, ICLR 2022, section 4",
            departs=_BLOCKS,
            images=1024,
            method=Reconstruct(**_NO_TWINS),
        ),
        Preset(
            name="repq_vit",
            title="RepQ-ViT",
            source="Li et al., RepQ-ViT: Scale Reparameterization for Post-Training Quantization of Vision "
            "Transformers, ICCV 2023, section 3",
            departs="scales minimize the squared error of the layer's output, where the released code minimizes that "
            "of the tensor; fractions of the logarithm to base sqrt(2) are rounded to 8 bits",
            images=32,
            method=BasePTQ(metric="mse"),
            formats=(("softmax", "log_sqrt2"),),
            folds=(Centering(), Smoothing(power=1.0, weight_power=0.0)),
        ),
        Preset(
            name="adalog",
            title="AdaLog",
            source="Wu et al., AdaLog: Post-Training Quantization for Vision Transformers with Adaptive Logarithm "
            "Quantizer, ECCV 2024, section 3",
            departs="the base is one of 2, sqrt(2) and the fourth root of 2 after softmax only, without a scale; "
            "after GELU codes are asymmetric; coordinate search in place of progressive combining search",
            images=32,
            method=PTQ4ViT(**_NO_TWINS),
            formats=(("softmax", "adaptive_log"),),
        ),
        Preset(
            name="fima_q",
            title="FIMA-Q",
            source="Wu et al., FIMA-Q: Post-Training Quantization for Vision Transformers by Fisher Information Matrix "
            "Approximation, CVPR 2025, arXiv 2506.11543, and its released code",
            departs="500 steps on 16 images for each part, where the released code has 20,000 on 32; inputs of the "
            "patch projection have the width of all others, not 8 bits; scales of weights are learned too; the head "
            "has the loss of all other parts; the search before it is PTQ4ViT's without twins",
            images=1024,
            method=Reconstruct(weighting="low_rank", bias_rate=0.0, **_NO_TWINS),
            folds=(Centering(), Smoothing(power=1.0, weight_power=0.0)),
        ),
    )
}
"""By the name that ``--preset`` takes, in the order of their years."""


def preset(name: str) -> Preset:
    """The preset of that name; an unknown name is a ValueError that suggests the nearest."""
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]
