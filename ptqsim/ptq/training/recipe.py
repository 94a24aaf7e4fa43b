"""Recipes of the bundled models: all that decides their weights, besides their architecture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ptqsim.ptq.datasets.scenes import SceneStyle
from ptqsim.ptq.training.schedule import TrainingSchedule


@dataclass(frozen=True)
class Recipe(TrainingSchedule):
    """All that decides the weights of a classifier, besides the model; see also :class:`TrainingSchedule`.

    Attributes
    ----------
    scenes : SceneStyle
        Style of the training scenes, harder than the data set's own.
    curriculum : float
        Fraction of the steps over which clutter, noise and low contrast come in.
    auxiliary : float
        Weight of the two auxiliary losses.
    teacher : str, optional
        Bundled model to learn from, for a model with a distillation token: soft distillation (Hinton et al., 2015),
        that is, its head learns the teacher's softened probabilities, and the class token's head learns the labels,
        each with half the weight (DeiT, Section 4, has the same split with the teacher's decisions instead).
    from_teacher : bool
        Begin with the teacher's weights, every so many-th of its blocks where the model has fewer of them (DistilBERT,
        Sanh et al., 2019, Section 3); what the distillation token adds begins at random.
    temperature : float
        By which the logits of teacher and student are divided; DeiT's baseline for soft distillation has 3.
    """

    scenes: SceneStyle = SceneStyle(clutter=5, contrast=45, noise=16)
    curriculum: float = 0.25
    auxiliary: float = 0.5
    teacher: str | None = None
    from_teacher: bool = False
    temperature: float = 3.0

    def style(self, step: int) -> SceneStyle:
        """Difficulty of the scenes of a step: from clean and clear to the recipe's own style."""
        full = self.scenes
        done = min(1.0, step / max(1.0, self.curriculum * self.steps))
        return SceneStyle(
            clutter=round(done * full.clutter),
            contrast=round(100 + done * (full.contrast - 100)),
            noise=round(done * full.noise),
        )


RECIPES: Final[dict[str, Recipe]] = {
    "vit_digits": Recipe(),
    "deit_digits": Recipe(
        images=256_000, batch=128, learning_rate=1e-3, curriculum=0.0, teacher="vit_digits", from_teacher=True
    ),
    "swin_digits": Recipe(images=700_000, batch=128, learning_rate=1.5e-3),
}
