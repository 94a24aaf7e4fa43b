"""One operand quantized alone: against networks of timm's own modules, and against runs without shared prefixes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.evaluation.operand_loss import one_operand_quantized
from ptqsim.ptq.evaluation.recorded_blocks import RecordedBlocks
from ptqsim.ptq.network.products.fake_quant import fake_quantize


class Images:
    name = "images"
    fingerprint = "images"

    def __init__(self, images: torch.Tensor) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def fingerprint_of(self, indices: object) -> str:
        return "images"

    def read(self, indices: range) -> tuple[torch.Tensor, torch.Tensor]:
        return self._images[list(indices)], torch.zeros(len(indices), dtype=torch.int64)


@pytest.fixture(scope="module", params=["vit", "swin"])
def network(request: pytest.FixtureRequest) -> nn.Module:
    import timm

    torch.manual_seed(0)
    if request.param == "vit":
        made = timm.models.VisionTransformer(
            img_size=32, patch_size=8, embed_dim=32, depth=3, num_heads=2, num_classes=7
        )
    else:
        made = timm.models.SwinTransformer(
            img_size=32, patch_size=2, window_size=4, embed_dim=16, depths=(2, 2), num_heads=(2, 4), num_classes=7
        )
    for parameter in made.parameters():  # so that logits, and divergences, are of a size that shows
        parameter.data *= 3
    return made.eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(10, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def quantized(network: nn.Module, images: torch.Tensor) -> ptq.QuantizedModel:
    return ptq.calibrate(network, images[:4], method="base_ptq", w_bits=4, a_bits=4, n=5, rounds=1)


@pytest.fixture(scope="module")
def losses(quantized: ptq.QuantizedModel, images: torch.Tensor) -> dict[str, ptq.OperandLoss]:
    found = ptq.operand_losses(quantized, Images(images), limit=9, batch=4)
    return {loss.operand: loss for loss in found}


def kl(network: nn.Module, other: nn.Module, images: torch.Tensor) -> list[float]:
    from scipy.special import softmax
    from scipy.stats import entropy

    with torch.no_grad():
        p, q = (softmax(each(images).double().numpy(), axis=1) for each in (network, other))
    return list(entropy(p, q, axis=1))


def test_every_operand_is_there_once(quantized: ptq.QuantizedModel, losses: dict[str, ptq.OperandLoss]) -> None:
    assert list(losses) == [f"{layer}:{side}" for layer in quantized.layers for side in "ab"]
    assert all(loss.divergence.shape == (9,) for loss in losses.values())
    assert {loss.operand for loss in losses.values() if loss.is_weight} == {
        f"{name}:b" for name, layer in quantized.layers.items() if layer.constant_b is not None
    }
    assert all(loss.mean.value > 0 for loss in losses.values())


def test_a_weight_alone_is_the_network_with_that_weight(
    network: nn.Module, quantized: ptq.QuantizedModel, images: torch.Tensor, losses: dict[str, ptq.OperandLoss]
) -> None:
    for name, layer in quantized.layers.items():
        if layer.constant_b is None or layer.kind not in ("linear", "qkv"):
            continue
        other = copy.deepcopy(network)
        linear = other.get_submodule(name)
        assert layer.formats is not None
        rounded = fake_quantize(layer.constant_b.contiguous(), layer.formats.b)
        linear.weight.data = rounded.transpose(1, 2).reshape(linear.weight.shape)
        assert losses[f"{name}:b"].divergence.tolist() == pytest.approx(
            kl(network, other, images[:9]), rel=1e-3, abs=1e-7
        )


def test_an_activation_alone_is_the_network_with_that_input(
    network: nn.Module, quantized: ptq.QuantizedModel, images: torch.Tensor, losses: dict[str, ptq.OperandLoss]
) -> None:
    for name, layer in quantized.layers.items():
        if layer.kind not in ("linear", "qkv"):
            continue
        other = copy.deepcopy(network)
        formats = layer.formats.a
        other.get_submodule(name).register_forward_pre_hook(
            lambda module, given, formats=formats: (fake_quantize(given[0][None].contiguous(), formats)[0],)
        )
        assert losses[f"{name}:a"].divergence.tolist() == pytest.approx(
            kl(network, other, images[:9]), rel=1e-3, abs=1e-7
        )


def test_shared_prefixes_change_no_bit(quantized: ptq.QuantizedModel, images: torch.Tensor) -> None:
    quantized.mode = "float"
    blocks = RecordedBlocks(quantized.model, images[:1])
    skipped = []
    with torch.no_grad():
        assert torch.equal(blocks.record(images), quantized.model(images))
        for name, layer in quantized.layers.items():
            with one_operand_quantized(layer, "a"):
                assert torch.equal(blocks.run(images, name), quantized.model(images))
            skipped.append(len(blocks._before[name]))
    assert skipped == sorted(skipped)
    assert skipped[0] == 0
    assert skipped[-1] >= 3  # the head comes after all blocks
    quantized.mode = "fake_quant"


def test_the_model_is_as_before(quantized: ptq.QuantizedModel, images: torch.Tensor) -> None:
    quantized.mode = "fake_quant"
    before = quantized(images)
    ptq.operand_losses(quantized, Images(images), limit=3)
    assert quantized.mode == "fake_quant"
    assert torch.equal(quantized(images), before)
    assert not any("product" in vars(layer) for layer in quantized.layers.values())


def test_progress_counts_to_the_end(quantized: ptq.QuantizedModel, images: torch.Tensor) -> None:
    seen: list[tuple[int, int]] = []
    ptq.operand_losses(
        quantized, Images(images), limit=5, batch=3, progress=lambda done, of, *_: seen.append((done, of))
    )
    operands = 2 * len(quantized.layers)
    assert seen == [(i, 2 * operands) for i in range(1, 2 * operands + 1)]


def test_a_model_without_formats_is_refused(network: nn.Module, images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="has no formats: calibrate the model first"):
        ptq.operand_losses(ptq.QuantizedModel(network), Images(images))
    with pytest.raises(ValueError, match="number of images"):
        ptq.operand_losses(ptq.QuantizedModel(network), Images(images), limit=0)
