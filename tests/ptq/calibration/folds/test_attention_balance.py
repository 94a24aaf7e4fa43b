"""Balance of queries and keys, and of values and projection: the output stays, magnitudes meet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.errors import ArgumentTypeError
from ptqsim.ptq.calibration.folds.protocol import fold
from ptqsim.ptq.network.foldings.head_folding import HeadFolding
from ptqsim.ptq.network.foldings.kinds import folded
from tests.ptq.calibration.folds.files import read_back
from tests.ptq.networks import vision_transformer


def largest(model: nn.Module, name: str, images: torch.Tensor) -> torch.Tensor:
    found: list[torch.Tensor] = []
    handle = model.get_submodule(name).register_forward_hook(lambda _m, _a, out: found.append(out))
    with torch.no_grad():
        model(images)
    handle.remove()
    return found[0].abs().flatten(0, -2).amax(dim=0)


@pytest.mark.parametrize(("name", "count"), [("vit_digits", 6), ("deit_digits", 5), ("swin_digits", 7)])
def test_outputs_are_those_of_the_network_to_rounding(name: str, count: int) -> None:
    model = ptq.load_model(name)
    images = ptq.sample_images(ptq.load_data("digits", model, split="calibration"), 4, seed=0)
    changed, foldings = fold(model, images, [ptq.AttentionBalance()])
    assert len(foldings) == count
    with torch.no_grad():
        assert torch.allclose(changed(images), model(images), rtol=0, atol=5e-5)


def test_queries_and_keys_become_equally_large(model: nn.Module, images: torch.Tensor) -> None:
    changed, _ = fold(model, images, [ptq.AttentionBalance(value_power=1.0, projection_power=0.0)])
    before, after = (largest(net, "blocks.1.attn.qkv", images).chunk(3) for net in (model, changed))
    assert torch.allclose(after[0], after[1], rtol=1e-4)
    assert torch.allclose(after[0], (before[0] * before[1]).sqrt(), rtol=1e-4)
    assert float(after[2].max() / after[2].min()) < 1.001 < float(before[2].max() / before[2].min())


def test_powers_of_zero_leave_everything(model: nn.Module, images: torch.Tensor) -> None:
    changed, _ = fold(model, images, [ptq.AttentionBalance(power=0, value_power=0, projection_power=0)])
    for name, value in model.state_dict().items():
        assert torch.equal(changed.state_dict()[name], value), name


def test_attention_that_does_more_is_left(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    given: dict[str, Any] = {
        "img_size": 32,
        "patch_size": 8,
        "num_classes": 10,
        "embed_dim": 32,
        "depth": 1,
        "num_heads": 2,
    }
    normalized = vision_transformer(**given, qk_norm=True)
    assert fold(normalized, images, [ptq.AttentionBalance()])[1] == []
    shared = vision_transformer(**{**given, "depth": 2})
    shared.blocks[1].attn.qkv.weight = shared.blocks[0].attn.qkv.weight  # type: ignore[index,union-attr]
    assert fold(shared, images, [ptq.AttentionBalance()])[1] == []


def test_a_checkpoint_has_the_factors(model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    folds = [ptq.AttentionBalance(), ptq.Smoothing()]
    made = ptq.calibrate(model, images, w_bits=6, a_bits=6, n=8, rounds=1, folds=folds)
    read_back(made, model, images, tmp_path)


def test_factors_belong_to_a_network(model: nn.Module) -> None:
    ones = torch.ones(32)
    for qkv, proj in (
        ("nowhere", "blocks.0.attn.proj"),
        ("blocks.0.attn.qkv", "nowhere"),
        ("head", "blocks.0.attn.proj"),
    ):
        with pytest.raises(ValueError, match="name the network that it was calibrated from"):
            folded(model, [HeadFolding(qkv, proj, ones, ones)])


@pytest.mark.parametrize("option", ["power", "value_power", "projection_power"])
def test_options(option: str) -> None:
    with pytest.raises(ValueError, match="legal is 0 to 1"):
        ptq.AttentionBalance(**{option: 1.5})
    wrong: Any = "0.5"
    with pytest.raises(ArgumentTypeError, match="power must be a number"):
        ptq.AttentionBalance(**{option: wrong})


def test_command(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    arguments = ["calibrate", "--images", "4", "-O", "n=4", "-O", "rounds=1", "-o", str(path)]
    assert app.main([*arguments, "--fold", "attention_balance"]) == 0
    assert ptq.load(path, ptq.load_model("vit_digits")).info["folds"][0]["fold"] == "attention_balance"
