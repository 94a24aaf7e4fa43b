"""Recipes of the bundled models: all that decides their weights, besides their architecture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ptqsim.ptq.scenes import SceneStyle


@dataclass(frozen=True)
class Recipe:
    """All that decides the weights, besides the model.

    Attributes
    ----------
    images : int
        Number of training scenes, each seen once.
    batch : int
        Scenes per step.
    seed : int
        Seed of the initial weights and of the scenes.
    learning_rate, weight_decay, warmup : float
        AdamW with a cosine schedule; ``warmup`` is the fraction of the steps with a linear rise.
    scenes : SceneStyle
        Style of the training scenes, harder than the data set's own.
    curriculum : float
        Fraction of the steps over which clutter, noise and low contrast come in.
    auxiliary : float
        Weight of the two auxiliary losses.
    bfloat16 : bool
        Matrix products in bfloat16 (autocast), twice as fast where the CPU has AMX.
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

    images: int = 1_600_000
    batch: int = 256
    seed: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.02
    scenes: SceneStyle = SceneStyle(clutter=5, contrast=45, noise=16)
    curriculum: float = 0.25
    auxiliary: float = 0.5
    bfloat16: bool = True
    teacher: str | None = None
    from_teacher: bool = False
    temperature: float = 3.0

    @property
    def steps(self) -> int:
        return self.images // self.batch

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warmup, then half a cosine down to zero."""
        warm = max(1, int(self.warmup * self.steps))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / (self.steps - warm)))

    def style(self, step: int) -> SceneStyle:
        """How hard the scenes of a step are: from clean and clear to the recipe's own style."""
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
