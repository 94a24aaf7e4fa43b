"""PTQ4ViT with whatever of this project's additions helps on the model at hand, by its calibration images alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final

from ptqsim.ptq.calibration.methods.protocol import Method, Select, Trail
from ptqsim.ptq.calibration.methods.ptq4vit import PTQ4ViT
from ptqsim.ptq.network.tasks.gradients import Gradient

ADDITIONS: Final[tuple[Mapping[str, Any], ...]] = (
    {"range_choice": "nearest"},
    {"gelu_pair": "covering"},
    {"gradient": "sampled"},
    {"weight_rounding": "bit_split"},
    {"bias_correction": True},
    {"paradigm": "sequential"},
)
"""In the order in which they are tried."""


@dataclass(frozen=True, kw_only=True)
class PTQ4ViTPlus(PTQ4ViT):
    """A preset: PTQ4ViT as the paper has it, to which each of :data:`ADDITIONS` is added in turn and kept if it helps.

    :class:`ptqsim.ptq.calibration.selection.Selection` decides what helps: less divergence from the float
    network's own probabilities on calibration images that the scales were not searched on.  No label and no validation
    image is seen. The choice is made anew for every network and bit-width; it stands in
    ``QuantizedModel.info["selection"]``.

    Attributes
    ----------
    folds : int
        Parts that the calibration images are divided into; each is held out once.  The other options are those of
        :class:`PTQ4ViT`, and where the choice starts from.
    """

    name: ClassVar[str] = "ptq4vit_plus"

    folds: int = 2

    def __post_init__(self) -> None:
        PTQ4ViT.__post_init__(self)
        if self.folds < 2:
            raise ValueError(f"folds is {self.folds}; legal is 2 or more, as one part is held out")

    def served_by(self, gradient: Gradient) -> bool:
        return False  # folds are captured one by one

    def prepare(self, select: Select) -> tuple[Method, Trail | None]:
        start = PTQ4ViT(**{field.name: getattr(self, field.name) for field in fields(PTQ4ViT)})
        return select(start, ADDITIONS, self.folds)
