"""Training of any bundled model by its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from torch import nn

from ptqsim.common.progress import Progress
from ptqsim.errors import unknown_name
from ptqsim.ptq.training.classifiers import train
from ptqsim.ptq.training.detector_recipe import DETECTION_RECIPES, DetectionRecipe
from ptqsim.ptq.training.detectors import train_detector
from ptqsim.ptq.training.recipe import RECIPES, Recipe
from ptqsim.ptq.zoo.bundled import BUNDLED
from ptqsim.ptq.zoo.detector_names import DETECTORS

TRAINABLE: Final[dict[str, Recipe | DetectionRecipe]] = {**RECIPES, **DETECTION_RECIPES}
"""The recipes of all bundled models, by name."""


def recipe_of(name: str, seed: int, bfloat16: bool, images: int | None) -> Recipe | DetectionRecipe:
    """The recipe of a bundled model with these changes; an unknown name is a ValueError that suggests the nearest."""
    if name not in TRAINABLE:
        raise unknown_name("bundled model", name, TRAINABLE)
    recipe = replace(TRAINABLE[name], seed=seed, bfloat16=bfloat16)
    return recipe if images is None else replace(recipe, images=images)


def train_bundled(name: str, recipe: Recipe | DetectionRecipe, state: Path, progress: Progress) -> nn.Module:
    """Train a bundled model; see :func:`ptqsim.ptq.training.fit.fit` for the state, progress and errors."""
    if isinstance(recipe, DetectionRecipe):
        return train_detector(DETECTORS[name], recipe, state, progress=progress)
    return train(BUNDLED[name], recipe, state, progress=progress)
