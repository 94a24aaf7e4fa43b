"""Folds that move constants: the output stays, the quantized activation changes as said, checkpoints keep it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.ptq.calibration.folds.protocol import fold
from ptqsim.ptq.calibration.folds.uses import foldable_norms
from tests.ptq.calibration.folds.files import read_back
from tests.ptq.calibration.folds.test_uses import IMAGES, Little

FOLDS: list[Any] = [ptq.Centering(), ptq.Centering(center="mean"), ptq.NormIntoWeights()]


def seen(model: nn.Module, norm: str, images: torch.Tensor) -> torch.Tensor:
    found: list[torch.Tensor] = []
    handle = model.get_submodule(norm).register_forward_hook(lambda _m, _a, out: found.append(out))
    with torch.no_grad():
        model(images)
    handle.remove()
    return found[0].flatten(0, -2)


@pytest.mark.parametrize("name", ["vit_digits", "deit_digits", "swin_digits"])
@pytest.mark.parametrize("one", FOLDS, ids=["middle", "mean", "norm_into_weights"])
def test_outputs_are_those_of_the_network_to_rounding(name: str, one: Any) -> None:
    model = ptq.load_model(name)
    images = ptq.sample_images(ptq.load_data("digits", model, split="calibration"), 4, seed=0)
    changed, foldings = fold(model, images, [one])
    assert len(foldings) >= 10
    assert all(folding.constants is not None for folding in foldings)
    with torch.no_grad():
        assert torch.allclose(changed(images), model(images), rtol=0, atol=5e-5)


def test_channels_are_centered(model: nn.Module, images: torch.Tensor) -> None:
    for one in FOLDS[:2]:
        changed, foldings = fold(model, images, [one])
        before, after = (seen(net, foldings[0].norm, images) for net in (model, changed))
        ends = torch.stack([after.amin(dim=0), after.amax(dim=0)])
        middle, mean = ends.mean(dim=0), after.mean(dim=0)
        assert float((middle if one.center == "middle" else mean).abs().max()) < 1e-5
        assert torch.allclose(after.amax(dim=0) - after.amin(dim=0), before.amax(dim=0) - before.amin(dim=0), atol=1e-5)


def test_the_normalized_input_is_left(own: Any, images: torch.Tensor) -> None:
    norm = own.blocks[0].norm1
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-2, 2, 32))
        norm.weight[3] = 0.0
        norm.bias.copy_(torch.linspace(1, 3, 32))
    changed, _ = fold(own, images, [ptq.NormIntoWeights()])
    found = changed.get_submodule("blocks.0.norm1")
    assert torch.equal(found.weight, own.blocks[0].norm1.weight.sign())
    assert not found.bias.any()
    with torch.no_grad():
        assert torch.allclose(changed(images), own(images), rtol=0, atol=1e-5)


def test_a_layer_without_a_bias_gets_one() -> None:
    class Unbiased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.norm, self.linear = nn.LayerNorm(4), nn.Linear(4, 3, bias=False)
            self.norm.bias.data.uniform_(-1, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.linear(self.norm(images.flatten(2)))  # type: ignore[no-any-return]

    model = Unbiased()
    changed, _ = fold(model, IMAGES, [ptq.Centering()])
    assert changed.linear.bias.shape == (3,)
    assert torch.allclose(changed(IMAGES), model(IMAGES), atol=1e-6)
    assert model.linear.bias is None


def test_padding_by_nothing_does_not_count() -> None:
    model = Little(lambda m, x: m.one(F.pad(m.norm(x), (0, 0, 0, 0))))
    (found,) = foldable_norms(model, IMAGES)
    assert found.offset is not None


OTHERWISE = {
    "padded": lambda m, x: m.one(F.pad(m.norm(x), (0, 0, 1, 2))),
    "another bias": lambda m, x: F.linear(m.norm(x), m.one.weight, m.two.bias),
    "no bias beside a bias": lambda m, x: F.linear(m.norm(x), m.one.weight),
}


@pytest.mark.parametrize("use", OTHERWISE)
def test_constants_stay_where_they_could_not_be_moved(use: str) -> None:
    model = Little(OTHERWISE[use])
    model.norm.bias.data.uniform_(-1, 1)
    (found,) = foldable_norms(model, IMAGES)
    assert found.offset is None
    for one in FOLDS:
        changed, (folding,) = fold(model, IMAGES, [one])
        assert folding.constants is None
        assert torch.allclose(changed(IMAGES), model(IMAGES), atol=1e-6)


def test_what_was_seen_is_that_of_all_images() -> None:
    model = Little(lambda m, x: m.one(m.norm(x)))
    model.norm.bias.data.uniform_(-1, 1)
    (found,) = foldable_norms(model, IMAGES)
    values = model.norm(IMAGES.flatten(2)).detach().double().flatten(0, 1)
    assert torch.equal(found.lowest, values.amin(dim=0))
    assert torch.equal(found.greatest, values.amax(dim=0))
    assert torch.allclose(found.mean, values.mean(dim=0), atol=1e-6)
    assert found.offset is not None
    assert torch.equal(found.offset, model.norm.bias.double())


def test_a_checkpoint_has_the_constants(model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    folds = [ptq.NormIntoWeights(), ptq.Centering(), ptq.Smoothing()]
    made = ptq.calibrate(model, images, w_bits=6, a_bits=6, n=8, folds=folds)
    assert [one["fold"] for one in made.info["folds"]] == ["norm_into_weights", "centering", "smoothing"]
    read = read_back(made, model, images, tmp_path)
    assert torch.allclose(read(images), model(images), rtol=0, atol=1e-5)


def test_options() -> None:
    with pytest.raises(ValueError, match="middle"):
        ptq.Centering(center="midle")


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.safetensors"
    arguments = ["calibrate", "--images", "4", "-O", "n=4", "-O", "rounds=1", "-o", str(path)]
    given = ["--fold", "norm_into_weights", "--fold", "centering", "--smoothing", "0.5"]
    assert app.main([*arguments, *given]) == 0
    folds = ptq.load(path, ptq.load_model("vit_digits")).info["folds"]
    assert [one["fold"] for one in folds] == ["norm_into_weights", "centering", "smoothing"]
    capsys.readouterr()
    assert app.main([*arguments, "--fold", "centring"]) == 2
    assert "centering" in capsys.readouterr().err
