"""Wrapped networks: every product found, float mode unchanged, unsupported networks refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.wrap import wrap


class HiddenProduct(nn.Module):
    """Multiplies matrices where no module says so."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.eye(32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.mix


def test_a_product_outside_of_every_module_is_refused_by_its_name(model: nn.Module, images: torch.Tensor) -> None:
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
    model = timm.create_model(name, pretrained=False, num_classes=10).eval()
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
    [("resnet18", "conv1"), ("cait_xxs24_224", "blocks.0.attn"), ("vit_tiny_r_s16_p8_224", "patch_embed")],
)
def test_other_networks_are_refused_by_their_first_operation(name: str, operation: str) -> None:
    with pytest.raises(ValueError, match=operation):
        wrap(timm.create_model(name, pretrained=False))
