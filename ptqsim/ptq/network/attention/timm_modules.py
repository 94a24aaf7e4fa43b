"""The products of timm's attention modules, by class: a table that says of each what it multiplies, in what order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final

from torch import nn

from ptqsim.ptq.network.attention.own_forward import with_operations
from ptqsim.ptq.network.attention.product import Product
from ptqsim.ptq.network.timm_classes import timm_class

Products = tuple[Product, ...]

_QK: Final = Product("matmul_qk", "matmul_qk")
_PV: Final = Product("matmul_pv", "matmul_pv", "left")
_VP: Final = Product("matmul_pv", "matmul_pv", "right")  # written as V P^T
_REST: Final = Product("matmul_pv", "matmul_pv")  # something lies between softmax and product

PLAIN: Final = (_QK, _PV)
"""softmax(Q K^T) V, whatever is done to Q, K and the scores."""


def _heads_at(axis: int, products: Products) -> Products:
    return tuple(replace(product, axis=axis) for product in products)


def _spatial(products: Products) -> Callable[[nn.Module], Products]:
    """With scores of queries and relative positions, which MViT adds to those of queries and keys."""
    rows, columns = Product("matmul_rows", by_head=False), Product("matmul_columns", by_head=False)

    def found(module: nn.Module) -> Products:
        return (products[0], rows, columns, *products[1:]) if module.rel_pos_type == "spatial" else products

    return found


def _with_table(products: Products) -> Callable[[nn.Module], Products]:
    """With the two lookups in a table of relative positions that MaxViT of TensorFlow writes as products."""

    def found(module: nn.Module) -> Products:
        if type(module.rel_pos).__name__ != "RelPosBiasTf":
            return products
        lookups = Product("matmul_rows", by_head=False), Product("matmul_columns", by_head=False)
        scores, values = products
        return (*lookups, scores, values) if module.fused_attn else (scores, *lookups, values)

    return found


def _sam(module: nn.Module) -> Products:
    positions = (Product("matmul_rows"), Product("matmul_columns")) if module.use_rel_pos else ()
    return *(Product(p.name, by_head=False) for p in positions), *PLAIN


def _on_channels_first(attribute: str, when: bool) -> Callable[[nn.Module], Products]:
    """V P^T where a flag of the module has that value, else P V."""
    return lambda module: (_QK, _VP if bool(getattr(module, attribute)) is when else _PV)


def _cascaded(module: nn.Module) -> Products:
    """One attention of one head after the other."""
    heads = range(len(module.qkvs))  # type: ignore[arg-type]
    return tuple(Product(f"{p.name}_{i}", p.kind, p.softmax, False) for i in heads for p in (_QK, _VP))


def _differential(module: nn.Module) -> Products:
    """Two attentions, the second taken off the first, by values where fused and by probabilities where not."""
    if not module.fused_attn:
        return _QK, _REST
    return tuple(Product(f"{p.name}_{i}", p.kind, p.softmax) for i in (1, 2) for p in PLAIN)


TABLE: Final[dict[str, Products | Callable[[nn.Module], Products]]] = {
    "layers.attention.Attention": PLAIN,  # the gated one: others have an adapter of their own
    "layers.attention.AttentionRope": PLAIN,
    "layers.attention2d.Attention2d": PLAIN,
    "layers.attention2d.MultiQueryAttention2d": PLAIN,
    "layers.attention_pool.AttentionPoolLatent": PLAIN,
    "layers.attention_pool.AttentionPoolPrr": PLAIN,
    "layers.attention_pool2d.AttentionPool2d": PLAIN,
    "layers.attention_pool2d.RotAttentionPool2d": PLAIN,
    "layers.diff_attention.DiffAttention": _differential,
    "models.beit.Attention": PLAIN,
    "models.cait.ClassAttn": PLAIN,
    "models.cait.TalkingHeadAttn": (_QK, _REST),
    "models.coat.FactorAttnConvRelPosEnc": (
        Product("matmul_kv", softmax="left"),
        Product("matmul_q"),
    ),
    "models.convit.GPSA": PLAIN,  # a mean of two softmaxes is as one
    "models.convit.MHSA": PLAIN,
    "models.cpubone.ConvAttention": PLAIN,
    "models.crossvit.CrossAttention": PLAIN,
    "models.davit.ChannelAttention": (Product("matmul_kv", "matmul_qk"), _PV),
    "models.davit.ChannelAttentionV2": PLAIN,
    "models.davit.WindowAttention": PLAIN,
    "models.edgenext.CrossCovarianceAttn": PLAIN,
    "models.efficientformer.Attention": PLAIN,
    "models.efficientformer_v2.Attention2d": (_QK, _REST),  # talking heads
    "models.efficientformer_v2.Attention2dDownsample": PLAIN,
    "models.efficientvim.HSMSSD": (Product("matmul_state"), Product("matmul_out")),
    "models.efficientvit_mit.LiteMLA": (Product("matmul_kv", by_head=False), Product("matmul_q", by_head=False)),
    "models.efficientvit_msra.CascadedGroupAttention": _cascaded,
    "models.eva.EvaAttention": PLAIN,
    "models.fastvit.Attention": PLAIN,
    "models.gcvit.WindowAttentionGlobal": PLAIN,
    "models.gemma4_vit.Gemma4Attention": PLAIN,
    "models.hiera.MaskUnitAttention": PLAIN,
    "models.hieradet_sam2.MultiScaleAttention": PLAIN,
    "models.iformer.SHMA": _on_channels_first("fused_attn", False),
    "models.levit.Attention": _on_channels_first("use_conv", True),
    "models.levit.AttentionDownsample": _on_channels_first("use_conv", True),
    "models.lowformer.ConvAttention": PLAIN,
    "models.maxxvit.Attention2d": lambda module: _with_table(_on_channels_first("fused_attn", False)(module))(module),
    "models.maxxvit.AttentionCl": _with_table(PLAIN),
    "models.metaformer.Attention": PLAIN,
    "models.mvitv2.MultiScaleAttention": _spatial(PLAIN),
    "models.mvitv2.MultiScaleAttentionPoolFirst": _spatial(PLAIN),
    "models.nest.Attention": PLAIN,
    "models.nextvit.EfficientAttention": PLAIN,
    "models.pvt_v2.Attention": PLAIN,
    "models.shvit.SHSA": (_QK, _VP),
    "models.swiftformer.EfficientAdditiveAttention": (Product("matmul_weights", by_head=False),),
    "models.swin_transformer_v2.WindowAttention": PLAIN,
    "models.swin_transformer_v2_cr.WindowMultiHeadAttention": PLAIN,
    "models.tiny_vit.Attention": PLAIN,
    "models.tnt.Attention": PLAIN,
    "models.twins.GlobalSubSampleAttn": PLAIN,
    "models.twins.LocallyGroupedAttn": _heads_at(2, PLAIN),
    "models.vision_transformer.DiffParallelScalingBlock": _differential,
    "models.vision_transformer.ParallelScalingBlock": PLAIN,
    "models.vision_transformer_relpos.RelPosAttention": PLAIN,
    "models.vision_transformer_sam.Attention": _sam,
    "models.visformer.Attention": PLAIN,
    "models.volo.Attention": PLAIN,
    "models.volo.ClassAttention": PLAIN,
    "models.volo.OutlookAttention": (_PV,),
    "models.xcit.XCA": PLAIN,
}
"""From a class of timm to its products; what this version of timm has not is passed over."""


def adapter(products: Products | Callable[[nn.Module], Products], name: str, module: nn.Module) -> nn.Module:
    """Have a module multiply by operations."""
    heads = getattr(module, "num_heads", None) or getattr(module, "groups", None) or 1
    return with_operations(name, module, products(module) if callable(products) else products, int(heads))


def attention_adapters(only: Iterable[str] = TABLE) -> dict[type[nn.Module], Callable[[str, nn.Module], nn.Module]]:
    """The adapters of the table, by the class that they take the place of."""
    found: dict[type[nn.Module], Callable[[str, nn.Module], nn.Module]] = {}
    for path in only:
        kind = timm_class(path)
        if kind is not None:
            found[kind] = partial(adapter, TABLE[path])
    return found
