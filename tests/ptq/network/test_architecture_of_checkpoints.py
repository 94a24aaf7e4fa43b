"""Models of the same names and shapes that compute something else than the one a checkpoint is of."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.common import strict_json
from ptqsim.ptq.network import loading, saving
from ptqsim.ptq.network.description.architecture import architectural_difference, architecture


def vit(**options: Any) -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(0)
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, "num_classes": 10}
    return VisionTransformer(**sizes | options).eval()


class QuickGELU(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(1.702 * x)


@pytest.fixture
def path(quantized: ptq.QuantizedModel, tmp_path: Path) -> Path:
    quantized.save(tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def set_eps(network: Any) -> None:
    network.norm.eps = 1e-3


def hook(network: Any) -> None:
    network.norm.register_forward_hook(double)


def double(module: nn.Module, args: object, output: torch.Tensor) -> torch.Tensor:
    return 2 * output


def own_forward(network: Any) -> None:
    network.norm.forward = types.MethodType(lambda self, x: 2 * x, network.norm)


@pytest.mark.parametrize(
    ("options", "change", "difference"),
    [
        ({"act_layer": QuickGELU}, None, r"module 'blocks.0.mlp.act' is a QuickGELU of source [0-9a-f]{12} in the"),
        ({"act_layer": nn.ReLU}, None, "module 'blocks.0.mlp.act' is a ReLU in the model, GELU in the file's"),
        ({"act_layer": partial(nn.GELU, "tanh")}, None, "mlp.act' has approximate = tanh in the model, none in the"),
        ({"norm_layer": partial(nn.LayerNorm, eps=1e-3)}, None, "has eps = 0.001 in the model, 1e-06 in the file's"),
        ({"num_heads": 4}, None, "module 'blocks.0.attn' has num_heads = 4 in the model, 2 in the file's"),
        ({}, set_eps, "module 'norm' has eps = 0.001 in the model"),
        ({}, hook, r"module 'norm' is a LayerNorm changed by .*double in the model, LayerNorm in the file's"),
        ({}, own_forward, "module 'norm' is a LayerNorm changed by"),
    ],
)
def test_another_architecture_with_weights_of_the_same_shapes_is_refused(
    path: Path, options: dict[str, Any], change: Callable[[nn.Module], None] | None, difference: str
) -> None:
    other = vit(**options)
    if change is not None:
        change(other)
    assert {n: p.shape for n, p in other.named_parameters()} == {n: p.shape for n, p in vit().named_parameters()}
    with pytest.raises(ValueError, match=difference):
        ptq.load(path, other)


def test_what_changes_no_output_is_not_compared(
    path: Path, quantized: ptq.QuantizedModel, images: torch.Tensor
) -> None:
    other = vit(proj_drop_rate=0.3, attn_drop_rate=0.2, drop_path_rate=0.1).train()
    other.blocks[0].mlp.act = nn.GELU()  # type: ignore[index, union-attr]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(ptq.load(path, other)(images), quantized(images))


def test_a_file_without_the_record_loads_with_a_warning(
    path: Path, quantized: ptq.QuantizedModel, model: nn.Module, images: torch.Tensor
) -> None:
    header, tensors = loading.read(path)
    del header["architecture"]
    header["version"] = 3
    header["digest"] = saving.digest(header, tensors)
    path.write_bytes(saving.serialized(tensors, {"ptqsim": strict_json.dumps(header)}))
    with pytest.warns(UserWarning, match="older ptqsim and does not say what activations") as caught:
        loaded = ptq.load(path, model)
    assert str(path) in str(caught[0].message)
    assert torch.equal(loaded(images), quantized(images))


def test_descriptions_of_different_releases_are_compared_in_what_both_name() -> None:
    described = architecture(vit())
    older = {name: {k: v for k, v in one.items() if k != "eps"} for name, one in described.items()}
    assert architectural_difference(older, described) is None
    assert architectural_difference({**older, "extra": {"class": "Conv2d"}}, described) == (
        "module 'extra', a Conv2d, is not in the model"
    )
    assert architectural_difference({n: one for n, one in older.items() if n != "norm"}, described) == (
        "module 'norm' of the model, a LayerNorm, is not in the file's"
    )
