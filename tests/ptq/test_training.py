"""Training: a run that is interrupted and resumed ends in the same weights."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ptqsim.ptq.bundled import BundledModel
from ptqsim.ptq.recipe import Recipe
from ptqsim.ptq.training import train

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
        SMALL, RECIPE, tmp_path / "cut.safetensors", progress=lambda s, n, loss: steps.append(s)
    ).state_dict()
    assert steps == [8, 9, 10, 11, 12]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_training_learns(tmp_path: Path) -> None:
    losses: list[float] = []
    recipe = replace(RECIPE, images=16 * 60, batch=16)
    train(SMALL, recipe, tmp_path / "s.safetensors", progress=lambda s, n, loss: losses.append(loss))
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
