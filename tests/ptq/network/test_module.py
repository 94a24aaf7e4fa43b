"""A quantized model is a module."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from tests.ptq.networks import vision_transformer

IMAGES = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def quantized() -> ptq.QuantizedModel:
    torch.manual_seed(0)
    network = vision_transformer(
        img_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=3, proj_drop_rate=0.5
    )
    return ptq.calibrate(network, IMAGES, method="percentile", w_bits=6, a_bits=6)


def test_it_is_a_module(quantized: ptq.QuantizedModel) -> None:
    assert isinstance(quantized, nn.Module)
    assert {name.partition(".")[0] for name in quantized.state_dict()} == {"model"}
    assert not any(parameter.requires_grad for parameter in quantized.parameters())
    assert torch.equal(nn.Sequential(quantized, nn.Softmax(dim=1))(IMAGES), quantized(IMAGES).softmax(dim=1))


@pytest.mark.parametrize("mode", ["float", "fake_quant", "integer"])
def test_training_mode_changes_nothing(quantized: ptq.QuantizedModel, mode: str) -> None:
    quantized.mode = mode  # type: ignore[assignment]
    before = quantized(IMAGES)
    assert quantized.train() is quantized
    nn.Sequential(quantized).train()
    assert not any(module.training for module in quantized.modules())
    assert torch.equal(quantized(IMAGES), before)  # the network has dropout
    assert quantized.eval() is quantized


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_is_a_model_of_its_own(quantized: ptq.QuantizedModel, copied) -> None:  # type: ignore[no-untyped-def]
    quantized.mode = "integer"
    quantized.accumulator = pq.Accumulator(bits=32)
    other = copied(quantized)
    assert torch.equal(other(IMAGES), quantized(IMAGES))
    other.accumulator = pq.Accumulator(bits=9, overflow="saturate")
    assert quantized.accumulator == pq.Accumulator(bits=32)
    assert not torch.equal(other(IMAGES), quantized(IMAGES))


def test_the_accumulator_is_what_the_layers_have(quantized: ptq.QuantizedModel) -> None:
    wide, narrow = pq.Accumulator(bits=32), pq.Accumulator(bits=20)
    quantized.accumulator = wide
    assert quantized.accumulator == wide
    quantized.accumulators["head"] = narrow
    assert quantized.accumulator == {name: narrow if name == "head" else wide for name in quantized.layers}
    quantized.accumulator = {"blocks.0.mlp.fc1": narrow, "head": wide}
    assert {name for name, one in quantized.accumulators.items() if one == narrow} == {"blocks.0.mlp.fc1"}
    quantized.accumulator = narrow
    assert quantized.accumulator == narrow
    with pytest.raises(ValueError, match="unknown layer 'haed'"):
        quantized.accumulator = {"haed": wide}
    with pytest.raises(TypeError, match="an accumulator was given as 24"):
        quantized.accumulator = 24  # type: ignore[assignment]


@pytest.mark.parametrize(
    "cast", [nn.Module.half, nn.Module.double, nn.Module.bfloat16, lambda model: model.to("cpu", torch.float16)]
)
def test_the_type_is_fixed(quantized: ptq.QuantizedModel, cast) -> None:  # type: ignore[no-untyped-def]
    for module in (quantized, nn.Sequential(quantized)):
        with pytest.raises(ValueError, match=r"legal is torch\.float32, for which the formats were calibrated"):
            cast(module)
    assert {p.dtype for p in quantized.parameters()} == {torch.float32}
    assert quantized.to("cpu") is quantized
    assert quantized.float() is quantized


def test_a_state_dict_is_no_quantized_model(quantized: ptq.QuantizedModel) -> None:
    with pytest.raises(TypeError, match=r"read it with ptqsim.ptq.load"):
        quantized.load_state_dict(quantized.state_dict())
