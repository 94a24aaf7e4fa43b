"""The schedule of a training: steps, learning rate and weight decay."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSchedule:
    """Fields that every recipe has.

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
    bfloat16 : bool
        Matrix products in bfloat16 (autocast), twice as fast where the CPU has AMX.
    """

    images: int = 1_600_000
    batch: int = 256
    seed: int = 0
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.02
    bfloat16: bool = True

    @property
    def steps(self) -> int:
        return self.images // self.batch

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warmup, then half a cosine down to zero."""
        warm = max(1, int(self.warmup * self.steps))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / (self.steps - warm)))
