"""Smoothing: its factors, that it changes no output, and that it comes back from a checkpoint."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.errors import ArgumentTypeError
from ptqsim.ptq.calibration.folds.protocol import fold
from ptqsim.ptq.calibration.folds.smoothing import MOST
from ptqsim.ptq.network.foldings.kinds import folded
from ptqsim.ptq.network.foldings.norm_folding import Folding
from tests.ptq.calibration.folds.files import read_back


def factors(outputs: list[float], weights: list[float], **powers: float) -> list[float]:
    given = (torch.tensor(values, dtype=torch.float64) for values in (outputs, weights))
    found: list[float] = ptq.Smoothing(**powers).factors(*given).tolist()
    return found


def test_factors() -> None:
    assert factors([1.0, 4.0, 16.0], [1.0, 1.0, 1.0]) == [0.5, 1.0, 2.0]
    assert factors([1.0, 4.0, 16.0], [3.0, 5.0, 7.0], power=1.0) == [0.25, 1.0, 4.0]
    # 1 / 1, 2 / 4, 4 / 2, whose geometric mean is 1
    assert factors([1.0, 4.0, 16.0], [1.0, 16.0, 4.0], power=0.5, weight_power=0.5) == [1.0, 0.5, 2.0]
    assert factors([1.0, 4.0, 16.0], [1.0, 1.0, 1.0], power=0.0) == [1.0, 1.0, 1.0]


def test_channels_that_are_not_used_keep_their_unit() -> None:
    assert factors([0.0, 1.0, 16.0], [1.0, 1.0, 1.0]) == [1.0, 0.5, 2.0]
    assert factors([8.0, 1.0, 16.0], [0.0, 1.0, 1.0]) == [1.0, 0.5, 2.0]
    assert factors([0.0, 0.0], [1.0, 1.0]) == [1.0, 1.0]


def test_factors_are_bounded() -> None:
    assert factors([1e-30, 1e30], [1.0, 1.0], power=1.0) == [1 / MOST, MOST]


@pytest.mark.parametrize("name", ["power", "weight_power"])
def test_exponents(name: str) -> None:
    for value in (0, 1, 0.25):
        assert getattr(ptq.Smoothing(**{name: value}), name) == value
    for value in (-0.1, 1.1, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"{name} is {value}; legal is 0 to 1"):
            ptq.Smoothing(**{name: value})
    wrong: Any
    for wrong in ("0.5", None, True):
        with pytest.raises(ArgumentTypeError, match=f"{name} must be a number"):
            ptq.Smoothing(**{name: wrong})


@pytest.mark.parametrize(("name", "norms"), [("vit_digits", 12), ("deit_digits", 10), ("swin_digits", 15)])
def test_outputs_are_those_of_the_network_to_rounding(name: str, norms: int) -> None:
    model = ptq.load_model(name)
    images = ptq.sample_images(ptq.load_data("digits", model, split="calibration"), 8, seed=0)
    changed, foldings = fold(model, images, [ptq.Smoothing(power=1.0)])
    assert len(foldings) == norms
    assert max(float(one.factors.max()) for one in foldings) > 1.3
    with torch.no_grad():
        assert torch.allclose(changed(images), model(images), rtol=0, atol=2e-5)
    spread = [_spread(net, foldings[0].norm, images) for net in (model, changed)]
    assert spread[1] < 1.001 < spread[0]  # with power 1 the greatest values of all channels are the same


def _spread(model: nn.Module, norm: str, images: torch.Tensor) -> float:
    seen: list[torch.Tensor] = []
    handle = model.get_submodule(norm).register_forward_hook(lambda _m, _a, out: seen.append(out))
    with torch.no_grad():
        model(images)
    handle.remove()
    top = seen[0].abs().flatten(0, -2).amax(dim=0)
    return float(top.max() / top.min())


def test_the_network_given_is_left_as_it_is(model: nn.Module, images: torch.Tensor) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    changed, foldings = fold(model, images, [ptq.Smoothing()])
    assert foldings
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert any(not torch.equal(value, before[name]) for name, value in changed.state_dict().items())
    assert fold(model, images, []) == (model, [])


def test_a_fold_that_changes_the_function_is_refused(model: nn.Module, images: torch.Tensor) -> None:
    class Wrong(ptq.Smoothing):
        def factors(self, outputs: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            return torch.full_like(outputs, float("inf"))

    with pytest.raises(ValueError, match="fold 'smoothing' changes an output by"):
        fold(model, images, [Wrong()])


def test_factors_belong_to_a_network(model: nn.Module) -> None:
    for norm, linear, count in (("nowhere", "head", 32), ("norm", "nowhere", 32), ("norm", "head", 31)):
        with pytest.raises(ValueError, match="name the network that it was calibrated from"):
            folded(model, [Folding(norm, (linear,), torch.ones(count))])


def test_a_checkpoint_folds_the_network_that_it_is_given(
    model: nn.Module, images: torch.Tensor, tmp_path: Path
) -> None:
    made = ptq.calibrate(model, images, w_bits=6, a_bits=6, n=8, folds=[ptq.Smoothing(power=0.5, weight_power=0.25)])
    assert made.info["folds"] == [{"fold": "smoothing", "power": 0.5, "weight_power": 0.25}]
    read = read_back(made, model, images, tmp_path)
    assert torch.allclose(read(images), model(images), rtol=0, atol=1e-5)
    again = tmp_path / "again.safetensors"
    read.mode = "fake_quant"
    read.save(again)
    assert [one.norm for one in ptq.load(again, model).foldings] == [one.norm for one in made.foldings] != []


def test_formats_differ_from_those_without_a_fold(model: nn.Module, images: torch.Tensor) -> None:
    plain, smooth = (ptq.calibrate(model, images, n=8, folds=folds) for folds in ([], [ptq.Smoothing(power=1.0)]))
    assert plain.layers["blocks.0.attn.qkv"].formats != smooth.layers["blocks.0.attn.qkv"].formats
    assert "folds" not in plain.info


def test_a_capture_of_another_network_is_refused(model: nn.Module, images: torch.Tensor) -> None:
    with ptq.capture(model, images) as captured, pytest.raises(ValueError, match="leave captured out"):
        ptq.calibrate(model, images, captured=captured, folds=[ptq.Smoothing()])


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.safetensors"
    arguments = ["calibrate", "--images", "4", "-O", "n=4", "-o", str(path)]
    assert app.main([*arguments, "--smoothing", "0.5"]) == 0
    assert ptq.load(path, ptq.load_model("vit_digits")).info["folds"][0]["power"] == 0.5
    assert app.main(["verify", str(path), "--images", "4", "--outputs", "400"]) == 0
    capsys.readouterr()
    assert app.main([*arguments, "--smoothing", "2"]) == 2
    assert "--smoothing is 2.0; legal is a power from 0 to 1" in capsys.readouterr().err
