"""Training of the bundled classifiers on digit scenes, and how the result of any training is recorded.

Scenes are drawn without end and never twice, so nothing is memorized but the source scans.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save as serialized
from torch import nn

from ptqsim.common import files
from ptqsim.common.progress import Progress, silent
from ptqsim.ptq.datasets.compositing import normalize
from ptqsim.ptq.datasets.scenes import Scenes, make_scenes
from ptqsim.ptq.evaluation.evaluate import Outputs
from ptqsim.ptq.training.fit import fit
from ptqsim.ptq.training.learner import Learner, begin_as
from ptqsim.ptq.training.recipe import Recipe
from ptqsim.ptq.training.schedule import TrainingSchedule
from ptqsim.ptq.zoo.bundled import BundledModel
from ptqsim.ptq.zoo.models import load_model


def train(
    bundled: BundledModel,
    recipe: Recipe,
    state: Path,
    *,
    save_every: int = 200,
    progress: Progress = silent,
) -> nn.Module:
    """Train a bundled model from its recipe; resumes from ``state`` where that file is there.

    Parameters
    ----------
    bundled : BundledModel
        The network to train.
    recipe : Recipe
        How.  A run is repeated to the last bit on the same machine and number of threads; on others the sums
        of floating-point products, and so the weights, differ in their last bits.
    state : Path
        Where weights and optimizer state are kept, as safetensors, rewritten every ``save_every`` steps and on
        interruption (SIGINT), which takes effect when the step in flight is done.
    progress : callable
        Called after each step with the steps done, all steps and the loss.

    Raises
    ------
    ValueError
        Where ``state`` belongs to another model or recipe.
    """
    torch.manual_seed(recipe.seed)
    teacher = None if recipe.teacher is None else load_model(recipe.teacher)
    model = bundled.build()
    if teacher is not None and recipe.from_teacher:
        begin_as(teacher, model)
    learner = Learner(model, teacher, recipe.temperature)
    for module in learner.modules():  # the fused kernel's backward is slow in bfloat16, and sums in another order
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # type: ignore[assignment]
    fit(_Digits(learner, bundled, recipe), recipe, state, save_every=save_every, progress=progress)
    return learner.model.eval()


def save_trained(network: nn.Module, path: Path, name: str, recipe: TrainingSchedule, result: Outputs) -> None:
    """Write the weights of a trained model, with its recipe and what it reached as metadata."""
    metric, reached = next(iter(result.metrics.items()))
    record = {
        "model": name,
        "recipe": json.dumps(asdict(recipe)),
        metric: f"{reached:.2f}",
        "validation_images": str(result.images),
    }
    files.write(path, serialized({key: tensor.contiguous() for key, tensor in network.state_dict().items()}, record))


class _Digits:
    """Classification scenes in order, from clean and clear ones to the recipe's own style."""

    def __init__(self, learner: Learner, bundled: BundledModel, recipe: Recipe) -> None:
        self.learner = learner
        self.recipe = recipe
        self.identity = json.dumps(
            {"model": bundled.name, "arguments": bundled.arguments, "recipe": asdict(recipe)}, sort_keys=True
        )

    def batch(self, step: int) -> Scenes:
        recipe = self.recipe
        return make_scenes("train", step * recipe.batch, recipe.batch, seed=recipe.seed, style=recipe.style(step))

    def loss(self, batch: Scenes, step: int) -> torch.Tensor:
        labels, patches = torch.from_numpy(batch.labels), torch.from_numpy(batch.patches)
        return self.learner.loss(normalize(batch.images), labels, patches, self.recipe.auxiliary)
