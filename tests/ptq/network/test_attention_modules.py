"""timm's attention modules: every product is an operation, float mode is the module's own, integers are exact."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.network.attention.einsum import einsum
from ptqsim.ptq.network.attention.timm_modules import TABLE, attention_adapters
from ptqsim.ptq.network.wrapping.wrap import wrap

C, SIDE = 16, 4


def of(module: str) -> Any:
    """A module of timm, imported where a test needs it."""
    return import_module(f"timm.{module}")


class Network(nn.Module):
    """A classifier around one attention module."""

    def __init__(self, module: nn.Module, layout: str, arguments: tuple[Any, ...] = ()) -> None:
        super().__init__()
        self.input_size = (C, SIDE, SIDE)
        self.module, self.layout, self.arguments = module, layout, arguments
        self.head = nn.Linear(C, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = images
        if self.layout == "tokens":
            x = x.flatten(2).transpose(1, 2)
        if self.layout == "grid":
            x = x.permute(0, 2, 3, 1)
        out = self.module(x, *self.arguments)
        out = out[0] if isinstance(out, tuple) else out
        out = out.flatten(2).mean(2) if self.layout == "map" else out.reshape(len(out), -1, out.shape[-1]).mean(1)
        return self.head(out)


SIZE = (SIDE, SIDE)
ROTATIONS = torch.linspace(-1, 1, (SIDE * SIDE - 1) * C).reshape(-1, C)  # of all tokens but the first
MODULES: dict[str, tuple[Callable[[], nn.Module], str, tuple[Any, ...], int]] = {
    "gated": (lambda: of("layers").Attention(C, 2, gated=True), "tokens", (), 5),
    "rope": (lambda: of("layers.attention").AttentionRope(C, 2), "tokens", (ROTATIONS,), 4),
    "grouped_queries": (
        lambda: of("layers.attention").AttentionRope(C, 4, num_kv_heads=2, qkv_fused=False), "tokens", (), 6
    ),
    "attention2d": (lambda: of("layers.attention2d").Attention2d(C, num_heads=2), "map", (), 4),
    "one_key_for_all": (
        lambda: of("layers.attention2d").MultiQueryAttention2d(C, num_heads=2, kv_stride=2, query_strides=2),
        "map", (), 8,
    ),
    "pool_latent": (lambda: of("layers").AttentionPoolLatent(C, num_heads=2, mlp_ratio=1), "tokens", (), 7),
    "differential": (lambda: of("layers.diff_attention").DiffAttention(C, 2), "tokens", (), 6),
    "beit": (lambda: of("models.beit").Attention(C, 2, qkv_bias=True, window_size=None), "tokens", (), 4),
    "class": (lambda: of("models.cait").ClassAttn(C, 2), "tokens", (), 6),
    "talking_heads": (lambda: of("models.cait").TalkingHeadAttn(C, 2), "tokens", (), 6),
    "gated_positions": (lambda: of("models.convit").GPSA(C, 2), "tokens", (), 6),
    "convit": (lambda: of("models.convit").MHSA(C, 2), "tokens", (), 4),
    "crossvit": (lambda: of("models.crossvit").CrossAttention(C, 2), "tokens", (), 6),
    "channels": (lambda: of("models.davit").ChannelAttention(C, 2), "tokens", (), 4),
    "davit_window": (lambda: of("models.davit").WindowAttention(C, SIZE, 2), "tokens", (), 4),
    "cross_covariance": (lambda: of("models.edgenext").CrossCovarianceAttn(C, 2), "tokens", (), 4),
    "efficientformer": (lambda: of("models.efficientformer").Attention(C, 8, 2, 2, SIDE), "tokens", (), 4),
    "efficientformer_v2": (lambda: of("models.efficientformer_v2").Attention2d(C, 8, 2, 2, SIZE), "map", (), 9),
    "linear": (lambda: of("models.efficientvit_mit").LiteMLA(C, C, 2, dim=8), "map", (), 6),
    "cascaded": (
        lambda: of("models.efficientvit_msra").CascadedGroupAttention(C, 4, 2, 2.0, SIDE, (3, 3)), "map", (), 9
    ),
    "eva": (lambda: of("models.eva").EvaAttention(C, 2, norm_layer=nn.LayerNorm), "tokens", (ROTATIONS,), 4),
    "eva_split": (lambda: of("models.eva").EvaAttention(C, 2, qkv_fused=False, scale_norm=False), "tokens", (), 6),
    "fastvit": (lambda: of("models.fastvit").Attention(C, head_dim=8), "map", (), 4),
    "mask_units": (lambda: of("models.hiera").MaskUnitAttention(C, C, 2, q_stride=4, window_size=4), "tokens", (), 4),
    "iformer": (lambda: of("models.iformer").SHMA(C), "map", (), 6),
    "levit": (lambda: of("models.levit").Attention(C, 4, 2, 2, SIZE), "tokens", (), 4),
    "levit_convolutions": (lambda: of("models.levit").Attention(C, 4, 2, 2, SIZE, use_conv=True), "map", (), 4),
    "levit_downsampling": (
        lambda: of("models.levit").AttentionDownsample(C, C, 4, 2, 2.0, 2, SIZE), "tokens", (), 5
    ),
    "lowformer": (lambda: of("models.lowformer").ConvAttention(C, att_stride=2), "map", (), 6),
    "maxvit": (lambda: of("models.maxxvit").Attention2d(C, dim_head=8), "map", (), 4),
    "maxvit_channels_last": (lambda: of("models.maxxvit").AttentionCl(C, dim_head=8), "tokens", (), 4),
    "maxvit_table": (
        lambda: of("models.maxxvit").AttentionCl(
            C, dim_head=8, rel_pos_cls=partial(of("layers").RelPosBiasTf, window_size=SIZE)
        ),
        "grid", (), 6,
    ),
    "metaformer": (lambda: of("models.metaformer").Attention(C, head_dim=8), "tokens", (), 4),
    "mvit": (
        lambda: of("models.mvitv2").MultiScaleAttention(
            C, C, SIZE, 2, stride_q=(2, 2), stride_kv=(2, 2), has_cls_token=False
        ),
        "tokens", (SIZE,), 9,
    ),
    "nest": (lambda: Nested(of("models.nest").Attention(C, 2)), "tokens", (), 4),
    "nextvit": (lambda: of("models.nextvit").EfficientAttention(C, head_dim=8, sr_ratio=1), "tokens", (), 6),
    "pvt": (lambda: of("models.pvt_v2").Attention(C, 2, sr_ratio=2), "tokens", (SIZE,), 6),
    "one_head": (lambda: of("models.shvit").SHSA(C, 8, 8), "map", (), 4),
    "additive": (lambda: of("models.swiftformer").EfficientAdditiveAttention(C, C), "map", (), 5),
    "swin_v2": (lambda: of("models.swin_transformer_v2").WindowAttention(C, SIZE, 2), "tokens", (), 6),
    "swin_v2_cr": (
        lambda: of("models.swin_transformer_v2_cr").WindowMultiHeadAttention(C, 2, SIZE), "tokens", (), 6
    ),
    "tiny_vit": (lambda: of("models.tiny_vit").Attention(C, 8, 2, resolution=SIZE), "tokens", (), 4),
    "tnt": (lambda: of("models.tnt").Attention(C, C, 2), "tokens", (), 5),
    "twins_local": (lambda: of("models.twins").LocallyGroupedAttn(C, 2, ws=2), "tokens", (SIZE,), 4),
    "twins_global": (lambda: of("models.twins").GlobalSubSampleAttn(C, 2, sr_ratio=2), "tokens", (SIZE,), 6),
    "visformer": (lambda: of("models.visformer").Attention(C, 2), "map", (), 4),
    "parallel": (lambda: of("models.vision_transformer").ParallelScalingBlock(C, 2), "tokens", (), 5),
    "relative_positions": (
        lambda: of("models.vision_transformer_relpos").RelPosAttention(C, 2), "tokens", (), 4
    ),
    "sam": (
        lambda: of("models.vision_transformer_sam").Attention(C, 2, use_rel_pos=True, input_size=SIZE), "grid", (), 6
    ),
    "volo": (lambda: of("models.volo").Attention(C, 2), "grid", (), 4),
    "outlook": (lambda: of("models.volo").OutlookAttention(C, 2), "grid", (), 4),
    "xcit": (lambda: of("models.xcit").XCA(C, 2), "tokens", (), 4),
}  # fmt: skip


class Nested(nn.Module):
    """Tokens as one block of an image."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.attention(x[:, None])[:, 0]


def made(name: str) -> Network:
    torch.manual_seed(0)
    build, layout, arguments, _ = MODULES[name]
    network = Network(build(), layout, arguments).eval().requires_grad_(False)
    for parameter in network.parameters():  # none of the zeros that training begins with
        parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return network


@pytest.fixture(params=MODULES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_products_are_operations_and_float_mode_is_the_modules_own(
    name: str, count_products: Callable[[], Any]
) -> None:
    network = made(name)
    images = torch.randn(3, *network.input_size)
    with count_products() as counted:
        expected = network(images)
    assert counted.count == MODULES[name][3] + 1  # and the head
    wrapped, operations = wrap(network)
    seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for op in operations.values():
        op.observer = lambda op, a, b, out: seen.update({op.name: (a, b)})
    with count_products() as beside:
        got = wrapped(images)
    assert list(seen) != []
    assert set(seen) == set(operations)
    assert len(operations) == counted.count
    assert beside.count == counted.count
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(ptq.QuantizedModel(network)(images), expected)
    for op in operations.values():
        if op.a_kind == "softmax":
            a = seen[op.name][0]
            assert a.min() >= 0
            torch.testing.assert_close(a.sum(-1), torch.ones_like(a.sum(-1)))


def test_integers_equal_the_reference(name: str) -> None:
    network = made(name)
    images = torch.randn(4, *network.input_size)
    quantized = ptq.calibrate(network, images, method="percentile")
    exact = network(images)
    for mode in ("fake_quant", "integer"):
        quantized.mode = mode
        assert float((quantized(images) - exact).norm() / exact.norm()) < 0.3
    checks = ptq.verify(quantized, images, outputs=4)
    assert set(checks) == set(quantized.layers)
    assert all(check.mismatches == 0 and check.outputs >= 4 for check in checks.values())


@pytest.mark.parametrize("method", ["ptq4vit", "liu2021"])
@pytest.mark.parametrize("name", ["swin_v2", "maxvit_table", "sam"])
def test_products_of_parameters_alone_are_calibrated(name: str, method: str) -> None:
    """Tables of positions: the same rows in every batch, of which there are two, the second one smaller."""
    network = made(name)
    images = torch.randn(11, *network.input_size)
    options = {"n": 6, "rounds": 1} if method == "ptq4vit" else {}
    quantized = ptq.calibrate(network, images, method=method, **options)
    exact = network(images)
    assert float((quantized(images) - exact).norm() / exact.norm()) < 0.05


def test_the_table_knows_the_classes_of_this_timm() -> None:
    missing = [path for path in TABLE if not attention_adapters([path])]
    assert missing == []


@pytest.mark.parametrize(
    ("equation", "a", "b"),
    [
        ("bhwc,hkc->bhwk", (2, 3, 4, 5), (3, 6, 5)),
        ("bhwc,wkc->bhwk", (2, 3, 4, 5), (4, 6, 5)),
        ("byhwc,hkc->byhwk", (2, 2, 3, 4, 5), (3, 6, 5)),
        ("blhk,bpk->blhp", (2, 3, 4, 5), (2, 6, 5)),
        ("bnd,hkd->bnhk", (2, 3, 4), (5, 6, 4)),
        ("bmd,dk->bmk", (2, 3, 4), (4, 5)),
    ],
)
def test_einsum(equation: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    left, right = torch.randn(a), torch.randn(b)
    torch.testing.assert_close(einsum(equation, left, right, torch.matmul), torch.einsum(equation, left, right))


@pytest.mark.parametrize("equation", ["nm,hnm->h", "ab,ab->ab", "abc,cd", "ab,bc->a"])
def test_what_is_no_matrix_product_is_refused(equation: str) -> None:
    with pytest.raises(ValueError, match="is no matrix product of two operands"):
        einsum(equation, torch.zeros(2, 2), torch.zeros(2, 2), torch.matmul)


def test_a_quantized_network_is_copied_and_pickled() -> None:
    network = made("eva")
    images = torch.randn(3, *network.input_size)
    quantized = ptq.calibrate(network, images, method="percentile")
    for again in (copy.deepcopy(quantized), pickle.loads(pickle.dumps(quantized))):
        assert torch.equal(again(images), quantized(images))
        assert list(again.layers) == list(quantized.layers)
        assert again.layers["module.qkv"] is again.model.module.qkv


def test_a_product_that_the_table_does_not_know_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    own = of("models.eva").EvaAttention.forward

    def more(self: Any, x: torch.Tensor, *rest: Any) -> torch.Tensor:
        return own(self, x, *rest) + x @ torch.eye(C)

    monkeypatch.setattr(of("models.eva").EvaAttention, "forward", more)
    with pytest.raises(ValueError, match=r"EvaAttention multiplies matrices more often than the 2 times"):
        ptq.calibrate(made("eva_split"), torch.randn(2, C, SIDE, SIDE), method="percentile")
