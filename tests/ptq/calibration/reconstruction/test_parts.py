"""The parts of networks: blocks, and the layers outside of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.calibration.reconstruction.parts import parts_of
from ptqsim.ptq.calibration.reconstruction.recorded import Arguments, inputs_of, outputs_of
from ptqsim.ptq.network.quantized_model import QuantizedModel


def test_parts_of_a_vision_transformer(model: nn.Module) -> None:
    quantized = QuantizedModel(model)
    parts = parts_of(quantized.model, quantized.layers)
    assert [part.name for part in parts] == ["patch_embed.proj", "blocks.0", "blocks.1", "head"]
    assert [name for part in parts for name in part.operations] == list(quantized.layers)


@pytest.mark.parametrize("name", ["vit_digits", "swin_digits"])
def test_parts_by_layer_are_those_with_a_weight(name: str) -> None:
    quantized = QuantizedModel(ptq.load_model(name))
    parts = parts_of(quantized.model, quantized.layers, by_layer=True)
    weighted = [key for key in quantized.layers if not key.endswith(("matmul_qk", "matmul_pv"))]
    assert [part.name for part in parts] == weighted
    assert all(part.operations == (part.name,) for part in parts)


def test_parts_of_swin() -> None:
    quantized = QuantizedModel(ptq.load_model("swin_digits"))
    names = [part.name for part in parts_of(quantized.model, quantized.layers)]
    first = [f"layers.0.blocks.{i}" for i in range(4)]
    assert names[:5] == ["patch_embed.proj", *first]
    assert names[5:] == ["layers.1.downsample.reduction", *(f"layers.1.blocks.{i}" for i in range(3)), "head.fc"]


def test_inputs_and_outputs_are_those_of_the_network(model: nn.Module, images: torch.Tensor) -> None:
    quantized = QuantizedModel(model)
    network = quantized.model
    inputs, arguments = inputs_of(network, "blocks.1", images)
    outputs, gradient = outputs_of(network, "blocks.1", images)
    with torch.no_grad():
        assert torch.equal(arguments.call(network.get_submodule("blocks.1"), inputs), outputs)
    tokens = model.forward_features(images)  # type: ignore[operator]
    assert outputs.shape == inputs.shape == tokens.shape
    # beside the hook: the logits that follow from the output, and their gradient
    out = outputs.clone().requires_grad_(True)
    logits = model.forward_head(model.norm(out))  # type: ignore[operator]
    nn.functional.cross_entropy(logits, logits.argmax(dim=1), reduction="sum").backward()
    assert out.grad is not None
    assert torch.allclose(gradient, out.grad, rtol=1e-4, atol=1e-7)
    assert not network.get_submodule("blocks.1")._forward_hooks
    assert not network.get_submodule("blocks.1")._forward_pre_hooks


def test_a_part_gives_one_tensor() -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, x

    with pytest.raises(ValueError, match="a Two gives a tuple; legal in reconstruction are parts"):
        Arguments().call(Two(), torch.zeros(1))
