"""Training of the bundled detector on detection scenes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch

from ptqsim.common.progress import Progress, silent
from ptqsim.ptq.datasets.compositing import normalize
from ptqsim.ptq.datasets.detection.scenes import SIZE, DetectionScenes, make_detection_scenes
from ptqsim.ptq.network.detr.boxes import centered
from ptqsim.ptq.network.detr.detector import Detector
from ptqsim.ptq.network.detr.loss import Targets
from ptqsim.ptq.training.detector_learner import DetectionLearner, freeze
from ptqsim.ptq.training.detector_recipe import DetectionRecipe
from ptqsim.ptq.training.fit import fit
from ptqsim.ptq.zoo.detector_names import DetrModel


def train_detector(
    bundled: DetrModel,
    recipe: DetectionRecipe,
    state: Path,
    *,
    save_every: int = 200,
    progress: Progress = silent,
) -> Detector:
    """Train a detector from its recipe; see :func:`ptqsim.ptq.training.fit.fit` for the state, progress and errors."""
    torch.manual_seed(recipe.seed)
    learner = DetectionLearner(bundled.build())
    fit(_Digits(learner, bundled, recipe), recipe, state, save_every=save_every, progress=progress)
    freeze(learner.model)
    return learner.model.eval()


class _Digits:
    """Detection scenes in order."""

    def __init__(self, learner: DetectionLearner, bundled: DetrModel, recipe: DetectionRecipe) -> None:
        self.learner = learner
        self.recipe = recipe
        self.identity = json.dumps(
            {"model": bundled.name, "arguments": bundled.arguments, "recipe": asdict(recipe)}, sort_keys=True
        )

    def batch(self, step: int) -> DetectionScenes:
        recipe = self.recipe
        return make_detection_scenes("train", step * recipe.batch, recipe.batch, seed=recipe.seed, style=recipe.scenes)

    def loss(self, batch: DetectionScenes, step: int) -> torch.Tensor:
        boxes = centered(torch.from_numpy(batch.boxes).float()) / SIZE
        images = normalize(batch.images).contiguous(memory_format=torch.channels_last)
        return self.learner.loss(images, Targets(torch.from_numpy(batch.labels), boxes), self.recipe.dense)
