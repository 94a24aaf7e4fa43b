"""timm's VisionTransformer and its distilled form as a plan."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.integer_only import Combine, Pad, Plan, Product, Reshape, Take, Total, Transpose
from ptqsim.integer_only.plan import PIXELS
from ptqsim.ptq.integer_only.blocks import attention, perceptron
from ptqsim.ptq.integer_only.builder import Accumulators, Builder, bias_of, nearest, numbers
from ptqsim.ptq.integer_only.functions import unit_of
from ptqsim.ptq.integer_only.pixels import PixelProjection
from ptqsim.ptq.integer_only.refuse import check_idle, check_norm, check_type, is_norm, no_unit
from ptqsim.ptq.network.products.operations import LinearOperation, PatchOperation

Normalization = tuple[tuple[float, ...], tuple[float, ...]]
WIDE = 16
"""Bits of codes between two units that no product reads."""


def read_vision_transformer(build: Builder, model: Any, projection: PixelProjection, normalized: Normalization) -> Plan:
    """The plan of a vision transformer that `check_vision_transformer` lets through."""
    stream = _embedding(build, model, projection)
    if is_norm("norm_pre", model.norm_pre):
        out = build.residual_format("norm_pre", build.seen.outputs["norm_pre"])
        stream = build.layer_norm("norm_pre", model.norm_pre, stream, out)
    for index, block in enumerate(model.blocks):
        stream = _block(build, f"blocks.{index}", block, stream)
    scale = _head(build, model, stream)
    return Plan(tuple(build.steps), build.edges[PIXELS].shape, *normalized, scale)  # type: ignore[arg-type]


def check_vision_transformer(model: Any) -> None:
    """Refuse a network with a module that has no integer unit; the error names it."""
    check_type("patch_embed", model.patch_embed, "layers.patch_embed.PatchEmbed")
    if is_norm("patch_embed.norm", model.patch_embed.norm):
        raise no_unit("patch_embed.norm", model.patch_embed.norm, "behind the patch projection of a ViT")
    for name in ("pos_drop", "patch_drop", "head_drop"):
        check_idle(name, getattr(model, name))
    if model.dynamic_img_size:
        raise no_unit("patch_embed", model.patch_embed, "with dynamic_img_size")
    for index, block in enumerate(model.blocks):
        name = f"blocks.{index}"
        check_type(name, block, "models.vision_transformer.Block")
        for part in ("drop_path1", "drop_path2"):
            check_idle(f"{name}.{part}", getattr(block, part))
        for part in ("norm1", "norm2"):
            check_norm(f"{name}.{part}", getattr(block, part))
        check_attention(f"{name}.attn", block.attn)
        check_perceptron(f"{name}.mlp", block.mlp)
        for part in ("ls1", "ls2"):
            if type(getattr(block, part)).__name__ != "LayerScale":
                check_idle(f"{name}.{part}", getattr(block, part))
    for part in ("norm_pre", "norm", "fc_norm"):
        is_norm(part, getattr(model, part))
    for part in ("head", "head_dist"):
        check_classifier(part, getattr(model, part, model.head))
    if getattr(model, "attn_pool", None) is not None or model.global_pool not in ("token", "avg"):
        raise no_unit("pool", model.attn_pool or model, f"that pools by {model.global_pool!r}")


def check_classifier(name: str, module: Any) -> None:
    """Refuse a network without a classifier."""
    if not isinstance(module, LinearOperation):
        raise no_unit(name, module, "in place of a classifier")


def check_attention(name: str, module: Any) -> None:
    """Refuse an attention that does more than softmax(Q K^T) V."""
    if type(module).__name__ not in ("ViTAttention", "SwinAttention"):
        raise no_unit(name, module)
    for part in ("q_norm", "k_norm", "norm"):
        if hasattr(module, part) and is_norm(f"{name}.{part}", getattr(module, part)):
            raise no_unit(f"{name}.{part}", getattr(module, part), "within an attention")


def check_perceptron(name: str, module: Any) -> None:
    """Refuse a perceptron that does more than two layers with an activation in between."""
    check_type(name, module, "layers.mlp.Mlp")
    if is_norm(f"{name}.norm", module.norm):
        raise no_unit(f"{name}.norm", module.norm, "within a perceptron")
    if unit_of(module.act) is None:
        raise no_unit(f"{name}.act", module.act)


def patches(build: Builder, op: PatchOperation) -> str:
    """Pixels as one row of each patch, in C order of the patches."""
    (c, height, width), (p, q) = build.edges[PIXELS].shape, op.patch
    h, w = height // p, width // q
    return build.move(
        "patches",
        PIXELS,
        Take(1, 0, h * p),
        Take(2, 0, w * q),
        Reshape((c, h, p, w, q)),
        Transpose((1, 3, 0, 2, 4)),
        Reshape((h * w, c * p * q)),
    )


def _embedding(build: Builder, model: Any, projection: PixelProjection) -> str:
    """Patches, tokens without a patch, and positions: the first residual."""
    op: PatchOperation = model.patch_embed.proj
    build.add(Product(op.name, patches(build, op), weights=(projection.weights,)))
    count, width = build.edges[op.name].shape
    tokens = [
        t for t in (getattr(model, name, None) for name in ("cls_token", "dist_token", "reg_token")) if t is not None
    ]
    prefix = np.concatenate([numbers(token)[0] for token in tokens]) if tokens else np.zeros((0, width))
    real = np.concatenate([prefix, np.broadcast_to(bias_of(op, width), (count, width))])
    if model.pos_embed is not None:
        positions = numbers(model.pos_embed)[0]
        real[len(real) - len(positions) :] += positions
    constant = real / projection.scale
    constant[len(prefix) :] += projection.offset
    source = build.move("tokens", op.name, Pad(0, len(prefix))) if len(prefix) else op.name
    placed = build.add(Combine("positions", (source,), ((1,),), nearest(constant)))
    out = build.residual_format("embedding", build.seen.inputs["norm_pre"])
    return build.rescale("embedding", Accumulators(placed, projection.scale, np.zeros(width)), out)


def _block(build: Builder, name: str, block: Any, stream: str) -> str:
    middle, end = build.seen.inputs[f"{name}.norm2"], build.seen.outputs[name]
    source = build.layer_norm(f"{name}.norm1", block.norm1, stream, block.attn.qkv.formats.a[0])
    branch = attention(build, f"{name}.attn", block.attn, source)
    stream = build.residual_add(f"{name}.add1", stream, branch, middle, _layer_scale(block.ls1))
    source = build.layer_norm(f"{name}.norm2", block.norm2, stream, block.mlp.fc1.formats.a[0])
    branch = perceptron(build, f"{name}.mlp", block.mlp, source)
    return build.residual_add(f"{name}.add2", stream, branch, end, _layer_scale(block.ls2))


def _layer_scale(module: Any) -> NDArray[np.float64] | None:
    return numbers(module.gamma) if hasattr(module, "gamma") else None


def _head(build: Builder, model: Any, stream: str) -> float:
    """Pooling, normalization and the classifier, or the mean of two; the real value of one unit of a logit."""
    if hasattr(model, "head_dist"):
        made = []
        for place, name in enumerate(("head", "head_dist")):
            token = build.move(
                f"{name}.token", stream, Take(0, place, place + 1), Reshape(build.edges[stream].shape[1:])
            )
            head = getattr(model, name)
            made.append(build.linear(head, build.layer_norm(f"{name}.norm", model.norm, token, head.formats.a[0])))
        return build.logits("logits", made)
    norms = [(name, getattr(model, name)) for name in ("norm", "fc_norm") if is_norm(name, getattr(model, name))]
    out = model.head.formats.a[0]
    width = build.edges[stream].shape[1:]
    if model.global_pool == "token":
        # Every token is normalized by itself, so that one of them can be taken first.
        stream = build.move("head.token", stream, Take(0, 0, 1), Reshape(width))
        for name, norm in norms:
            last = name == norms[-1][0]
            fmt = out if last else wide(build, name)
            stream = build.layer_norm(name, norm, stream, fmt)
        if not norms:
            stream = requantized(build, "head.codes", stream, out)
        return build.logits("logits", [build.linear(model.head, stream)])
    if norms and norms[0][0] == "norm":
        stream = build.layer_norm("norm", norms.pop(0)[1], stream, wide(build, "norm"))
    if not model.pool_include_prefix and model.num_prefix_tokens:
        stream = build.move("head.tokens", stream, Take(0, model.num_prefix_tokens, build.edges[stream].shape[0]))
    if norms:
        mean = pooled(build, stream, pq.Uniform(WIDE, build.edges[stream].format.scale))
        mean = build.layer_norm("fc_norm", norms[0][1], mean, out)
    else:
        mean = pooled(build, stream, out)
    return build.logits("logits", [build.linear(model.head, mean)])


def pooled(build: Builder, stream: str, out: Any) -> str:
    """The mean over the tokens of codes [T, C], as codes."""
    count, scale = build.edges[stream].shape[0], build.edges[stream].format.scale
    width = build.edges[stream].shape[-1]
    total = build.add(Total("pool.total", stream, 0))
    return build.rescale("pool", Accumulators(total, np.full(width, scale / count), np.zeros(width)), out)


def requantized(build: Builder, name: str, stream: str, out: Any) -> str:
    """Codes in another format."""
    width = build.edges[stream].shape[-1]
    scale = np.full(width, build.edges[stream].format.scale)
    return build.rescale(name, Accumulators(stream, scale, np.zeros(width)), out)


def wide(build: Builder, name: str) -> pq.Uniform:
    """Format of the output of a normalization that no product reads."""
    top = (1 << (WIDE - 1)) - 1
    return pq.Uniform(WIDE, max(build.seen.outputs[name], 1e-6) * 1.1 / top)
