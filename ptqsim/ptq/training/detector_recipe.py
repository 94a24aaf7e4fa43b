"""The recipe of the bundled detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ptqsim.ptq.datasets.scenes import SceneStyle
from ptqsim.ptq.training.schedule import TrainingSchedule


@dataclass(frozen=True)
class DetectionRecipe(TrainingSchedule):
    """All that decides the weights of a detector, besides the model; see also :class:`TrainingSchedule`.

    Attributes
    ----------
    scenes : SceneStyle
        Style of the training scenes, harder than the data set's own.
    dense : float
        Weight of the auxiliary task of the encoder's tokens: the class and the box of the object they lie in.
    """

    scenes: SceneStyle = SceneStyle(clutter=5, contrast=45, noise=16)
    dense: float = 1.0


DETECTION_RECIPES: Final[dict[str, DetectionRecipe]] = {
    "detr_digits": DetectionRecipe(images=550_000, batch=64, learning_rate=8e-4, warmup=0.03, weight_decay=0.02),
}
