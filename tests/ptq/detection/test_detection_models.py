"""Detectors: training, weights from files, and calibrated models on disk."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.network.detr.detector import Detector
from ptqsim.ptq.network.loading import load
from ptqsim.ptq.training.bundled import TRAINABLE, recipe_of
from ptqsim.ptq.training.detector_learner import DetectionLearner, freeze
from ptqsim.ptq.training.detector_recipe import DetectionRecipe
from ptqsim.ptq.training.detectors import train_detector
from ptqsim.ptq.zoo.detector_names import DETECTORS, DETR_DIGITS, DetrModel
from ptqsim.ptq.zoo.detectors import load_detector

RECIPE = DetectionRecipe(images=4 * 8, batch=4, bfloat16=False, learning_rate=2e-3)


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path: Path, tiny: DetrModel) -> None:
    """Down to the running statistics of the batch norms."""
    whole = train_detector(tiny, RECIPE, tmp_path / "whole.safetensors").state_dict()

    def stop(step: int, steps: int, loss: float) -> None:
        if step == 5:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_detector(tiny, RECIPE, tmp_path / "cut.safetensors", progress=stop)
    resumed = train_detector(tiny, RECIPE, tmp_path / "cut.safetensors").state_dict()
    assert whole.keys() == tiny.build().state_dict().keys()  # auxiliary heads are dropped, batch norms frozen again
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_training_learns(tmp_path: Path, tiny: DetrModel) -> None:
    losses: list[float] = []
    recipe = replace(RECIPE, images=8 * 60, batch=8, warmup=0.1)
    train_detector(
        tiny, recipe, tmp_path / "s.safetensors", progress=lambda s, n, state: losses.append(float(state.split()[1]))
    )
    assert sum(losses[-8:]) < 0.93 * sum(losses[:8])


def test_freezing_keeps_what_the_network_computes(tiny: DetrModel, scenes: torch.Tensor) -> None:
    torch.manual_seed(0)
    learner = DetectionLearner(tiny.build())
    with torch.no_grad():
        learner.model(scenes)  # in training mode: statistics move
        learner.eval()
        before = learner.model(scenes)
        assert any(isinstance(m, nn.BatchNorm2d) for m in learner.modules())
        freeze(learner.model)
        assert not any(isinstance(m, nn.BatchNorm2d) for m in learner.modules())
        torch.testing.assert_close(learner.model(scenes), before, rtol=1e-4, atol=1e-5)


def test_tokens_learn_the_object_that_they_lie_in(tiny: DetrModel) -> None:
    """With heads that say the truth of one image, the auxiliary task costs nothing more than doubt in the class."""
    from ptqsim.ptq.network.detr.loss import Targets

    learner = DetectionLearner(tiny.build())
    targets = Targets(torch.tensor([[4, -1]]), torch.tensor([[[0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]]))
    with torch.no_grad():
        for parameter in (*learner.token_class.parameters(), *learner.token_box.parameters()):
            parameter.zero_()
        learner.token_class.bias[4] = 20.0
        learner.token_box[2].bias.copy_(torch.tensor([0.0, 0.0, 20.0, 20.0]))
        assert float(learner._of_tokens(torch.randn(1, 64, 32), targets)) < 1e-3
        learner.token_class.bias[4] = -20.0
        assert float(learner._of_tokens(torch.randn(1, 64, 32), targets)) > 10


def test_every_bundled_model_is_trainable_by_name() -> None:
    assert TRAINABLE.keys() == {*ptq.BUNDLED, "detr_digits"}
    assert recipe_of("detr_digits", 3, False, 128) == replace(
        TRAINABLE["detr_digits"], seed=3, bfloat16=False, images=128
    )
    with pytest.raises(ValueError, match="detr_digits"):
        recipe_of("detr_digit", 0, True, None)


def test_a_checkpoint_gives_the_same_bits(
    quantized: ptq.QuantizedModel, detector: Detector, scenes: torch.Tensor, tmp_path: Path
) -> None:
    quantized.save(tmp_path / "m.safetensors")
    loaded = load(tmp_path / "m.safetensors", detector)
    for mode in ("fake_quant", "integer"):
        quantized.mode = loaded.mode = mode  # type: ignore[assignment]
        assert torch.equal(quantized(scenes), loaded(scenes))
    quantized.mode = "fake_quant"


def test_weights_under_the_names_of_any_release(
    tiny: DetrModel, detector: Detector, scenes: torch.Tensor, tmp_path: Path
) -> None:
    fetched = replace(tiny, hub="nobody/nothing")
    own = detector.state_dict()
    present = {name.removeprefix("detr."): tensor for name, tensor in own.items()}
    earlier = {
        name.replace("backbone.model.", "backbone.conv_encoder.model.").replace(".o_proj.", ".out_proj.")
        .replace(".mlp.fc", ".fc"): tensor
        for name, tensor in present.items()
    }  # fmt: skip
    with torch.no_grad():
        for tensors in (own, present, earlier):
            save_file({k: v.contiguous() for k, v in tensors.items()}, tmp_path / "w.safetensors")
            found = load_detector(fetched, False, tmp_path / "w.safetensors").eval()
            assert torch.equal(found(scenes), detector(scenes))
    present.pop("model.encoder.layers.0.mlp.fc1.bias")
    save_file({k: v.contiguous() for k, v in present.items()}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"has no tensor 'model\.encoder\.layers\.0\.mlp\.fc1\.bias'"):
        load_detector(fetched, False, tmp_path / "w.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"has no tensor 'class_labels_classifier\.bias'"):
        load_detector(fetched, False, tmp_path / "w.safetensors")


def test_weights_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--pretrained"):
        ptq.load_model("detr_resnet_50")
    with pytest.raises(ValueError, match="has its own weights"):
        ptq.load_model("detr_digits", pretrained=True)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        ptq.load_model("detr_resnet_50", checkpoint=tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="'detr_digits'"):
        ptq.load_model("detr_digit")


def test_data_that_the_model_does_not_take(detector: Detector) -> None:
    other = DetrModel("other", {}, replace(DETR_DIGITS.preprocessing, input_size=(3, 96, 96)))
    with pytest.raises(ValueError, match="64x64 pixels, and the model takes others"):
        ptq.load_data("digits", Detector(detector.detr, other.preprocessing))
    assert set(DETECTORS) == {"detr_digits", "detr_resnet_50"}
