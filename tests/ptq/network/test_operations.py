"""Wrapped networks: every product found, float mode unchanged, unsupported networks refused."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.network.input_size import input_size
from ptqsim.ptq.network.wrapping.wrap import wrap
from tests.ptq.networks import timm_model


def test_a_product_outside_of_every_module_is_refused_by_its_name(model: nn.Module, images: torch.Tensor) -> None:
    class HiddenProduct(nn.Module):
        """Multiplies matrices where no module says so."""

        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Parameter(torch.eye(32))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.mix

    odd = copy.deepcopy(model)
    odd.blocks[1].ls1 = HiddenProduct()  # type: ignore[index, union-attr]
    with pytest.raises(ValueError, match=r"operation 'blocks\.1\.ls1' \(HiddenProduct\) multiplies matrices by"):
        ptq.calibrate(odd, images)


NAMES = [
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "swin_tiny_patch4_window7_224",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_product_of_a_timm_model_is_found_and_float_mode_agrees(
    name: str, count_products: Callable[[], Any]
) -> None:
    torch.manual_seed(0)
    model = timm_model(name, num_classes=10)
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad(), count_products() as counted:
        expected = model(image)
    wrapped, operations = wrap(model)
    ran: list[str] = []
    for op in operations.values():
        op.observer = lambda op, a, b, out: ran.append(op.name)
    with torch.no_grad():
        got = wrapped(image)
    assert len(operations) == counted.count
    assert sorted(ran) == sorted(operations)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(ptq.QuantizedModel(model)(image), expected)  # where no product is watched, to the last bit


def test_a_patch_projection_has_no_holes() -> None:
    """A dilated kernel sees other pixels than the patches of its stride."""
    network = nn.Sequential(nn.Conv2d(3, 8, 2, stride=2, dilation=2), nn.Flatten(), nn.Linear(8, 2))
    assert wrap(network)[1]["0"].kind == "conv"


def test_the_bundled_model_has_38_operations_in_order() -> None:
    _, operations = wrap(ptq.BUNDLED["vit_digits"].build())
    names = list(operations)
    assert len(names) == 38  # the patch projection, 6 blocks of 6, the head
    assert names[:4] == ["patch_embed.proj", "blocks.0.attn.qkv", "blocks.0.attn.matmul_qk", "blocks.0.attn.matmul_pv"]
    assert names[-1] == "head"
    assert operations["blocks.0.attn.qkv"].groups == (1, 3)
    assert operations["blocks.0.attn.matmul_pv"].groups == (3, 3)
    assert operations["blocks.3.mlp.fc2"].a_kind == "gelu"
    assert operations["blocks.3.attn.matmul_pv"].a_kind == "softmax"


def test_the_original_is_left_alone(model: nn.Module) -> None:
    before = {name: p.clone() for name, p in model.state_dict().items()}
    wrapped, _ = wrap(model)
    for p in wrapped.parameters():
        p.data.zero_()
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("coat_lite_tiny", "serial_blocks1.0.cpe"),  # the same module in every block
        ("sequencer2d_s", "stages.0.blocks.0.rnn_tokens.rnn_v"),
    ],
)
def test_other_networks_are_refused_by_the_first_operation_that_they_run(name: str, operation: str) -> None:
    with pytest.raises(ValueError, match=f"operation '{re.escape(operation)}' "):
        wrap(timm_model(name))


class Attention(nn.Module):
    """As timm marks those that multiply matrices in their own forward."""

    fused_attn = True

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(32, 96)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return nn.functional.scaled_dot_product_attention(q, k, v)


def test_an_attention_that_no_table_knows_is_refused(own: Any, images: torch.Tensor) -> None:
    own.blocks[1].attn = Attention()
    with pytest.raises(ValueError, match=r"operation 'blocks\.1\.attn' is an attention of type Attention"):
        ptq.calibrate(own, images)


@pytest.mark.parametrize("name", ["mixer_s32_224", "resmlp_12_224", "test_vit2", "test_vit4"])
def test_other_networks_of_supported_operations_run_in_integers(name: str, count_products: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    network = timm_model(name, num_classes=10)
    image = torch.randn(1, *input_size(network))
    quantized = ptq.calibrate(network, image, method="percentile")
    quantized.mode = "integer"
    with count_products() as beside:
        assert torch.isfinite(quantized(image)).all()
    assert beside.count == 0


def test_the_first_product_is_named_although_the_network_can_not_be_run_on_trial() -> None:
    class Untraceable(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv3d(3, 8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if float(x.sum()) > 0:  # needs values, which the trial run has not
                x = -x
            return self.conv(x)

    with pytest.raises(ValueError, match=r"operation 'conv' is a Conv3d"):
        wrap(Untraceable())
