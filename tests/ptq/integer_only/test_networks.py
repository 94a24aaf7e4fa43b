"""Networks of timm's families as plans: equal to the reference at every edge, near float, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from ptqsim import ptq
from tests.ptq.networks import HALF, vision_transformer

SMALL: dict[str, Any] = {
    "img_size": 32, "patch_size": 8, "num_classes": 10, "embed_dim": 32, "depth": 1, "num_heads": 2,
}  # fmt: skip


def layer_scale() -> nn.Module:
    made = vision_transformer(**SMALL, init_values=0.5, reg_tokens=2, no_embed_class=True)
    with torch.no_grad():
        made.blocks[0].ls1.gamma.copy_(torch.randn(32))  # type: ignore[index, union-attr]
    return made


def distilled() -> nn.Module:
    from timm.models.deit import VisionTransformerDistilled

    return VisionTransformerDistilled(**SMALL)


def swin() -> nn.Module:
    from timm.models.swin_transformer import SwinTransformer

    return SwinTransformer(
        img_size=32, patch_size=4, num_classes=10, embed_dim=16, depths=(2, 1), num_heads=(2, 4), window_size=4
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "distilled": distilled,
    "layer_scale": layer_scale,
    "mean": partial(vision_transformer, **SMALL, global_pool="avg"),
    "mean_of_norms": partial(vision_transformer, **SMALL, global_pool="avg", fc_norm=False, class_token=False),
    "pre_norm": partial(vision_transformer, **SMALL, pre_norm=True, act_layer="quick_gelu"),
    "two_norms": partial(vision_transformer, **SMALL, fc_norm=True),
    "swin": swin,
}


def calibrated(model: nn.Module, images: torch.Tensor, **options: Any) -> ptq.QuantizedModel:
    if not getattr(model, "pretrained_cfg", None):
        model.pretrained_cfg = HALF  # type: ignore[assignment]
    return ptq.calibrate(model.eval(), images, method="percentile", integer_only=True, **options)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_family_equals_its_reference_and_is_near_float(name: str, images: torch.Tensor) -> None:
    torch.manual_seed(0)
    made = calibrated(NETWORKS[name](), images[:2])
    made.mode = "float"
    exact = made(images[:2])
    made.mode = "integer_only"
    assert float((made.logits(images[:2]) - exact).abs().max()) < 0.05 * float(exact.abs().max())
    check = ptq.verify_images(made, ptq.as_pixels(images[:1], *HALF.values()))
    assert check.mismatches == 0, check.first


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_a_deviation_per_color_is_folded_before_quantization(images: torch.Tensor, granularity: str) -> None:
    """Normalized images become pixels, and their logits stay near those of float."""
    torch.manual_seed(0)
    mean, std = (0.5, 0.4, 0.3), (0.5, 0.3, 0.6)
    model = vision_transformer(**SMALL)
    model.pretrained_cfg = {"mean": mean, "std": std}  # type: ignore[assignment]
    shape = (1, 3, 1, 1)
    normalized = (images[:2] * 0.5 + 0.5 - torch.tensor(mean).reshape(shape)) / torch.tensor(std).reshape(shape)
    made = calibrated(model, normalized, w_granularity=granularity)
    made.mode = "float"
    exact = made(normalized)
    made.mode = "integer_only"
    assert float((made.logits(normalized) - exact).abs().max()) < 0.05 * float(exact.abs().max())


def test_zero_points_of_activations(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    made = calibrated(vision_transformer(**SMALL), images[:2], a_symmetric=False)
    assert any(fmt.zero_point for edge in made.edges.values() for fmt in edge.formats)
    check = ptq.verify_images(made, ptq.as_pixels(images[:1], *HALF.values()))
    assert check.mismatches == 0, check.first


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"qk_norm": True}, "'blocks.0.attn.q_norm' is a LayerNorm"),
        ({"global_pool": "map", "class_token": False}, "'pool' is a AttentionPoolLatent"),
        ({"act_layer": partial(nn.GELU, approximate="tanh")}, "'blocks.0.mlp.act' is a GELU"),
        ({"norm_layer": "rmsnorm"}, "'blocks.0.norm1' is a RmsNorm"),
        ({"num_classes": 0}, "'head' is a Identity"),
    ],
)
def test_an_operation_without_a_unit_is_refused_by_name(
    options: dict[str, Any], says: str, images: torch.Tensor
) -> None:
    with pytest.raises(ValueError, match=says):
        calibrated(vision_transformer(**{**SMALL, **options}), images[:1])


def test_a_network_of_another_family_is_refused(images: torch.Tensor) -> None:
    from timm.models.cait import Cait

    model = Cait(img_size=32, patch_size=8, num_classes=10, embed_dim=32, depth=1, num_heads=2, depth_token_only=1)
    with pytest.raises(ValueError, match="'Cait' is a Cait"):
        calibrated(model, images[:1])
