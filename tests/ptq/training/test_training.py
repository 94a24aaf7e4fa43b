"""Training: a run that is interrupted and resumed ends in the same weights."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ptqsim.ptq.training.classifiers import train
from ptqsim.ptq.training.learner import Learner, begin_as
from ptqsim.ptq.training.recipe import RECIPES, Recipe
from ptqsim.ptq.zoo.bundled import BUNDLED, BundledModel
from tests.ptq import names

SMALL = BundledModel(
    "small",
    "VisionTransformer",
    {"img_size": 32, "patch_size": 4, "num_classes": 100, "embed_dim": 16, "depth": 1, "num_heads": 1},
)
RECIPE = Recipe(images=8 * 12, batch=8, bfloat16=False, learning_rate=1e-2)


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    whole = train(SMALL, RECIPE, tmp_path / "whole.safetensors").state_dict()

    def stop(step: int, steps: int, loss: float) -> None:
        if step == 7:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(SMALL, RECIPE, tmp_path / "cut.safetensors", progress=stop)
    steps = []
    resumed = train(
        SMALL, RECIPE, tmp_path / "cut.safetensors", progress=lambda s, n, state: steps.append(s)
    ).state_dict()
    assert steps == [8, 9, 10, 11, 12]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_training_learns(tmp_path: Path) -> None:
    losses: list[float] = []
    recipe = replace(RECIPE, images=16 * 60, batch=16)
    train(
        SMALL, recipe, tmp_path / "s.safetensors", progress=lambda s, n, state: losses.append(float(state.split()[1]))
    )
    assert sum(losses[-10:]) < 0.97 * sum(losses[:10])


def test_the_schedule_rises_falls_and_ends_at_zero() -> None:
    recipe = Recipe(images=256 * 1000)
    rates = [recipe.rate(step) for step in range(recipe.steps)]
    assert max(rates) == pytest.approx(recipe.learning_rate)
    assert rates[0] < rates[10]
    assert rates[-1] < 1e-4 * recipe.learning_rate
    assert recipe.style(0).clutter == 0
    assert recipe.style(recipe.steps - 1) == recipe.scenes


def test_a_state_of_another_recipe_is_refused(tmp_path: Path) -> None:
    train(SMALL, replace(RECIPE, images=8), tmp_path / "s.safetensors")
    with pytest.raises(ValueError, match="another model or recipe"):
        train(SMALL, replace(RECIPE, images=16), tmp_path / "s.safetensors")
    (tmp_path / "s.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with pytest.raises(ValueError, match="damaged"):
        train(SMALL, RECIPE, tmp_path / "s.safetensors")


@pytest.mark.parametrize("name", names.BUNDLED)
def test_every_bundled_model_has_a_recipe_and_learns(name: str, tmp_path: Path) -> None:
    losses: list[float] = []
    recipe = replace(RECIPES[name], images=16 * 24, batch=16, warmup=0.2, bfloat16=False)
    network = train(
        BUNDLED[name],
        recipe,
        tmp_path / "s.safetensors",
        progress=lambda s, n, state: losses.append(float(state.split()[1])),
    )
    assert sum(losses[-8:]) < sum(losses[:8])
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 100)
    assert network.state_dict().keys() == BUNDLED[name].build().state_dict().keys()  # auxiliary heads are dropped


def test_every_patch_is_named_by_the_token_that_covers_it() -> None:
    """Swin's last map has one token for 2x2 patches."""
    learner = Learner(BUNDLED["swin_digits"].build())
    assert learner.covered == 2
    tokens = torch.arange(16.0).reshape(1, 4, 4, 1).expand(1, 4, 4, 128)
    with torch.no_grad():
        learner.patches.weight.zero_()
        learner.patches.weight[:, 0] = 1.0
        learner.patches.bias.copy_(torch.arange(4.0).repeat_interleave(21) / 4)  # the place within the token
    shown = learner._shown(tokens)
    assert shown.shape == (1, 8, 8, 21)
    for y in range(8):
        for x in range(8):
            expected = 4 * (y // 2) + x // 2 + (2 * (y % 2) + x % 2) / 4
            assert torch.all(shown[0, y, x] == expected)


def test_a_distilled_model_learns_what_its_teacher_says() -> None:
    """With the teacher's own probabilities as its output, the distillation costs nothing and pulls nowhere."""

    class Echo(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1)[:, :100] * 5

    learner = Learner(BUNDLED["deit_digits"].build(), Echo(), temperature=3.0)
    images = torch.randn(4, 3, 32, 32)
    labels = torch.tensor([3, 14, 15, 92])
    taught = (images.flatten(1)[:, :100] * 5).requires_grad_()
    named = torch.zeros(4, 100)
    named[range(4), labels] = 50.0
    loss = learner._of_classes((named, taught), images, labels)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert taught.grad is not None
    assert taught.grad.abs().max() < 1e-6
    # logits [0, ln 3] at temperature 3 against the teacher's [0, 0]: 9 KL((1/2, 1/2) || softmax(0, ln 3 / 3)) / 2
    learner = Learner(BUNDLED["deit_digits"].build(), torch.nn.Flatten(), temperature=3.0)
    pair = torch.tensor([[0.0, float(np.log(3))]])
    loss = learner._of_classes((torch.tensor([[50.0, 0.0]]), pair), torch.zeros(1, 2), torch.tensor([0]))
    p = 1 / (1 + 3 ** (1 / 3))
    assert loss.item() == pytest.approx(9 * (0.5 * np.log(0.5 / p) + 0.5 * np.log(0.5 / (1 - p))) / 2, rel=1e-5)


def test_a_student_begins_with_blocks_of_its_teacher() -> None:
    teacher, student = (BUNDLED[name].build() for name in ("vit_digits", "deit_digits"))
    token = student.dist_token.clone()  # type: ignore[operator]
    begin_as(teacher, student)
    own, given = student.state_dict(), teacher.state_dict()
    for place, source in enumerate([0, 1, 2, 4, 5]):  # five of six, the first and the last among them
        assert torch.equal(own[f"blocks.{place}.mlp.fc1.weight"], given[f"blocks.{source}.mlp.fc1.weight"])
    assert torch.equal(own["pos_embed"][:, 2:], given["pos_embed"][:, 1:])
    assert torch.equal(own["dist_token"], token)
    # of all blocks, and without the distillation token, it is the teacher
    whole = BundledModel("whole", "VisionTransformerDistilled", BUNDLED["vit_digits"].arguments).build()
    begin_as(teacher, whole)
    images = torch.randn(2, 3, 32, 32)
    whole.dist_token = None
    whole._pos_embed = teacher._pos_embed
    with torch.no_grad():
        torch.testing.assert_close(whole.eval().forward_features(images), teacher.eval().forward_features(images))  # type: ignore[operator]
