"""The layers behind a GELU, by name, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from ptqsim.ptq.network.wrapping.after_gelu import layers_after_gelu
from ptqsim.ptq.network.wrapping.wrap import wrap
from tests.ptq.networks import timm_model


def networks() -> Iterator[tuple[nn.Module, set[str]]]:
    """Networks, and the layers of theirs behind a GELU."""
    import timm.layers as L

    yield L.Mlp(8, 16), {"fc2"}
    yield L.Mlp(8, 16, act_layer=nn.SiLU), set()
    yield L.Mlp(8, 16, act_layer=L.QuickGELU), {"fc2"}
    yield L.Mlp(8, 16, norm_layer=nn.LayerNorm), set()
    yield L.Mlp(8, 16, use_conv=True), {"fc2"}
    yield L.ConvMlp(8, 16, act_layer=nn.GELU), {"fc2"}
    yield L.ConvMlp(8, 16), set()  # ReLU
    yield L.GluMlp(8, 16, act_layer=nn.GELU), set()  # times a gate
    yield L.SwiGLU(8, 16), set()
    yield nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Dropout(), nn.Conv2d(4, 4, 1)), {"3"}
    yield nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.LayerNorm(4), nn.Linear(4, 4)), set()
    yield nn.Sequential(nn.GELU(), nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))), {"1.0"}


def test_layers() -> None:
    for network, expected in networks():
        assert layers_after_gelu(network) == expected, network


@pytest.mark.parametrize(
    ("name", "elsewhere"),
    [
        ("convnext_atto", ()),
        ("inception_next_atto", ()),
        ("pvt_v2_b0", ()),
        ("coatnet_nano_rw_224", ()),
        ("repvit_m0_9", ()),
        # behind a GELU at the end of the module before
        ("tiny_vit_5m_224", ("stages.0.blocks.1.conv1.conv", "stages.1.downsample.conv1.conv")),
    ],
)
def test_what_is_said_to_follow_a_gelu_is_its_output(
    name: str, elsewhere: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen by the memory of the tensors, on a network that runs."""
    torch.manual_seed(0)
    network = timm_model(name, num_classes=3).requires_grad_(False)
    outputs: dict[int, torch.Tensor] = {}
    original = torch.nn.functional.gelu

    def gelu(x: torch.Tensor, **options: str) -> torch.Tensor:
        out = original(x, **options)
        outputs[out.untyped_storage().data_ptr()] = out  # kept, so that no other takes its place
        return out

    monkeypatch.setattr(torch.nn.functional, "gelu", gelu)
    wrapped, operations = wrap(network)
    behind: set[str] = set()

    def hook(op: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].untyped_storage().data_ptr() in outputs:
            behind.add(op.name)  # type: ignore[arg-type]

    for op in operations.values():
        op.register_forward_pre_hook(hook)
    side = 224 if name.endswith("224") else 64
    wrapped(torch.randn(1, 3, side, side))
    assert behind - set(elsewhere) == {name for name, op in operations.items() if op.a_kind == "gelu"}
