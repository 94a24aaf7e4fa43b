"""Reconstruction: scales and rounding learned by gradients, block by block, from where PTQ4ViT's search ends."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Final

from ptqsim.common.choice import Choice
from ptqsim.ptq.calibration.methods.protocol import Reconstruction
from ptqsim.ptq.calibration.methods.ptq4vit import PTQ4ViT
from ptqsim.ptq.network.products.operations import MatmulOperation

_RATES: Final = ("scale_rate", "bias_rate", "norm_rate")
LARGEST_RATE: Final = 1.0
"""Largest learning rate; a step of Adam is about as long as its rate, and a decision of rounding is from 0 to 1."""


class Weighting(Choice):
    """Weights of the squared errors of a block's output."""

    EQUAL = "equal"
    FISHER = "fisher"
    LOW_RANK = "low_rank"


class Parts(Choice):
    """Parts of the network that are trained one after the other."""

    BLOCK = "block"
    LAYER = "layer"


@dataclass(frozen=True, kw_only=True)
class Reconstruct(PTQ4ViT):
    """Block reconstruction of what PTQ4ViT's search found, with learned rounding, scales and biases.

    One block after the other is trained so that its output, on the output of the quantized blocks before it, is that of
    the float network.  Learned are the rounding of weights (AdaRound, Nagel et al., ICML 2020), the scales of weights
    and activations (LSQ, Esser et al., ICLR 2020) and the biases of layers.  Activations are left in float at random
    (QDrop, Wei et al., ICLR 2022).  A twin format keeps its shift, and after softmax its scale too.
    docs/reconstruction.md has the equations, and measurements of what each part brings.

    Attributes
    ----------
    iterations : int
        Steps of the optimizer for each block.
    batch : int
        Images in a step.
    drop : float
        Probability that an element of an activation, or of a block's input, is that of the float network; 0 to 1.
    weighting : Weighting or {"equal", "fisher", "low_rank"}
        Squared errors of the output all count the same; or by the squared gradient of the task loss (BRECQ, Li et al.,
        ICLR 2021, Eq. 10), whose labels are the network's own predictions; or by a diagonal and a matrix of low rank,
        made of gradients of the divergence from the float network while a block is trained (FIMA-Q, Wu et al., CVPR
        2025).
    rank : int
        Rank of that matrix, which is so often added to, at even distances; of ``weighting="low_rank"`` only.
    parts : Parts or {"block", "layer"}
        Parts that are trained together: blocks, and the layers outside of them; or every layer with a weight by itself
        (AdaRound), in which case the scales of Q K^T and P V stay those of the search.
    rounding_rate, scale_rate, bias_rate : float
        Learning rates of Adam, which fall to zero by half a cosine: of the rounding variables, of the logarithms of the
        scales, of the biases.  A scale or bias whose rate is 0 stays that of the search.
    norm_rate : float
        Learning rate of the weights and biases of the LayerNorms in a block, and with distillation of all; 0 leaves
        them.
    regularizer : float
        Weight of AdaRound's regularizer, relative to the loss of the block before it is trained.
    distill : int
        Steps in which, after all blocks, all scales and biases are trained at once, so that the outputs of the network
        are those of the float network on shifted and mixed calibration images; 0 for none.
    """

    name: ClassVar[str] = "reconstruct"

    iterations: int = 500
    batch: int = 16
    drop: float = 0.5
    weighting: Weighting | str = Weighting.EQUAL
    rank: int = 15
    parts: Parts | str = Parts.BLOCK
    rounding_rate: float = 0.01
    scale_rate: float = 0.001
    bias_rate: float = 0.0005
    norm_rate: float = 0.0
    regularizer: float = 1.0
    distill: int = 0

    def __post_init__(self) -> None:
        PTQ4ViT.__post_init__(self)
        for option in ("iterations", "batch", "rank"):
            if getattr(self, option) < 1:
                raise ValueError(f"{option} is {getattr(self, option)}; legal is 1 or more")
        if self.distill < 0:
            raise ValueError(f"distill is {self.distill}; legal is 0 or more: try 0 for no distillation")
        if not 0 < self.rounding_rate <= LARGEST_RATE:
            raise ValueError(
                f"rounding_rate is {self.rounding_rate}; legal is more than 0, to {LARGEST_RATE:g}: try 0.01"
            )
        for option in _RATES:
            if not 0 <= getattr(self, option) <= LARGEST_RATE:
                raise ValueError(f"{option} is {getattr(self, option)}; legal is 0 to {LARGEST_RATE:g}: try 0.001")
        if self.norm_rate and self.parts == "layer" and not self.distill:
            raise ValueError(
                f"norm_rate is {self.norm_rate} with parts='layer', and no LayerNorm is part of a layer; legal is 0, "
                "or parts='block', or distillation: try parts='block'"
            )
        if not 0 <= self.drop < 1:
            raise ValueError(f"drop is {self.drop}; legal is 0 to less than 1: try 0.5")
        if not 0 <= self.regularizer <= 1e6:
            raise ValueError(f"regularizer is {self.regularizer}; legal is 0 to 1,000,000: try 1")
        if self.weight_rounding != "nearest":
            raise ValueError(
                f"weight_rounding is {str(self.weight_rounding)!r}; legal in reconstruction, which learns the rounding "
                "itself, is 'nearest'"
            )

    def idle_options(self, op: MatmulOperation) -> frozenset[str]:
        trained = {option.name for option in fields(self)} - {option.name for option in fields(PTQ4ViT)}
        return PTQ4ViT.idle_options(self, op) | trained

    @property
    def reconstruction(self) -> Reconstruction | None:
        return Reconstruction(
            iterations=self.iterations,
            batch=self.batch,
            drop=self.drop,
            fisher=self.weighting == "fisher",
            rank=self.rank if self.weighting == "low_rank" else 0,
            by_layer=self.parts == "layer",
            rounding_rate=self.rounding_rate,
            scale_rate=self.scale_rate,
            bias_rate=self.bias_rate,
            norm_rate=self.norm_rate,
            regularizer=self.regularizer,
            distill=self.distill,
        )
