"""timm's SwinTransformer as a plan: windows and their shifts are rearrangements, position biases constants."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptqsim.integer_only import Combine, Plan, Product, Reshape, Roll, Transpose
from ptqsim.integer_only.moves import Rearrangement
from ptqsim.integer_only.plan import PIXELS
from ptqsim.ptq.integer_only.blocks import attention, perceptron
from ptqsim.ptq.integer_only.builder import Accumulators, Builder, bias_of, nearest, numbers
from ptqsim.ptq.integer_only.pixels import PixelProjection
from ptqsim.ptq.integer_only.refuse import check_idle, check_norm, check_type, is_norm, no_unit
from ptqsim.ptq.integer_only.vision_transformer import (
    Normalization,
    check_attention,
    check_classifier,
    check_perceptron,
    patches,
    pooled,
    wide,
)


def read_swin(build: Builder, model: Any, projection: PixelProjection, normalized: Normalization) -> Plan:
    """The plan of a Swin transformer that `check_swin` lets through."""
    stream = _embedding(build, model, projection)
    size = tuple(int(side) for side in model.patch_embed.grid_size)
    for index, stage in enumerate(model.layers):
        name = f"layers.{index}"
        stream, size = _merging(build, f"{name}.downsample", stage.downsample, stream, size)
        for number, block in enumerate(stage.blocks):
            stream = _block(build, f"{name}.blocks.{number}", block, stream, size)
    head = model.head
    stream = build.layer_norm("norm", model.norm, stream, wide(build, "norm"))
    mean = pooled(build, stream, head.fc.formats.a[0])
    scale = build.logits("logits", [build.linear(head.fc, mean)])
    return Plan(tuple(build.steps), build.edges[PIXELS].shape, *normalized, scale)  # type: ignore[arg-type]


def check_swin(model: Any) -> None:
    """Refuse a network with a module that has no integer unit; the error names it."""
    check_type("patch_embed", model.patch_embed, "layers.patch_embed.PatchEmbed")
    is_norm("patch_embed.norm", model.patch_embed.norm)
    size = tuple(int(side) for side in model.patch_embed.grid_size)
    for index, stage in enumerate(model.layers):
        name = f"layers.{index}"
        check_type(name, stage, "models.swin_transformer.SwinTransformerStage")
        if type(stage.downsample).__name__ != "Identity":
            merging = f"{name}.downsample"
            check_type(merging, stage.downsample, "models.swin_transformer.PatchMerging")
            check_norm(f"{merging}.norm", stage.downsample.norm)
            if any(side % 2 for side in size):
                raise no_unit(merging, stage.downsample, f"of {size[0]} x {size[1]} tokens, which have to be padded")
            size = tuple(side // 2 for side in size)
        for number, block in enumerate(stage.blocks):
            _check_block(f"{name}.blocks.{number}", block, size)
    check_norm("norm", model.norm)
    check_type("head", model.head, "layers.classifier.ClassifierHead")
    check_idle("head.drop", model.head.drop)
    check_classifier("head.fc", model.head.fc)
    if getattr(model.head.global_pool, "pool_type", "") != "avg":
        raise no_unit("head.global_pool", model.head.global_pool, "that takes no mean")


def _embedding(build: Builder, model: Any, projection: PixelProjection) -> str:
    op = model.patch_embed.proj
    build.add(Product(op.name, patches(build, op), weights=(projection.weights,)))
    width = len(projection.scale)
    constant = nearest(bias_of(op, width) / projection.scale + projection.offset)
    biased = build.add(Combine("patch_embed.biased", (op.name,), ((1,),), constant))
    given = Accumulators(biased, projection.scale, np.zeros(width))
    out = build.residual_format("patch_embed", build.seen.outputs["patch_embed"])
    if not is_norm("patch_embed.norm", model.patch_embed.norm):
        return build.rescale("patch_embed", given, out)
    source = build.rescale("patch_embed.codes", given, wide(build, op.name))
    return build.layer_norm("patch_embed", model.patch_embed.norm, source, out)


def _merging(build: Builder, name: str, module: Any, stream: str, size: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Neighbors of 2 x 2 tokens side by side, normalized, and a layer whose output is the new residual."""
    if type(module).__name__ == "Identity":
        return stream, size
    (h, w), c = size, build.edges[stream].shape[-1]
    moved = build.move(
        f"{name}.neighbors",
        stream,
        Reshape((h // 2, 2, w // 2, 2, c)),
        Transpose((0, 2, 3, 1, 4)),
        Reshape((h // 2 * (w // 2), 4 * c)),
    )
    source = build.layer_norm(f"{name}.norm", module.norm, moved, module.reduction.formats.a[0])
    given = build.linear(module.reduction, source)
    out = build.residual_format(name, build.seen.outputs[name])
    return build.rescale(name, given, out), (h // 2, w // 2)


def _block(build: Builder, name: str, block: Any, stream: str, size: tuple[int, ...]) -> str:
    middle, end = build.seen.inputs[f"{name}.norm2"], build.seen.outputs[name]
    source = build.layer_norm(f"{name}.norm1", block.norm1, stream, block.attn.qkv.formats.a[0])
    (h, w), c = size, build.edges[stream].shape[-1]
    (wh, ww), (sh, sw) = block.window_size, block.shift_size
    forth: list[Rearrangement] = [Reshape((h, w, c))]
    forth += [Roll(axis, -shift) for axis, shift in enumerate((sh, sw)) if shift]
    forth += [
        Reshape((h // wh, wh, w // ww, ww, c)),
        Transpose((0, 2, 1, 3, 4)),
        Reshape((h * w // (wh * ww), wh * ww, c)),
    ]
    windows = build.move(f"{name}.windows", source, *forth)
    branch = attention(build, f"{name}.attn", block.attn, windows, _position_bias(block))
    back: list[Rearrangement] = [Reshape((h // wh, w // ww, wh, ww, c)), Transpose((0, 2, 1, 3, 4)), Reshape((h, w, c))]
    back += [Roll(axis, shift) for axis, shift in enumerate((sh, sw)) if shift]
    placed = build.move(f"{name}.attn.tokens", branch.edge, *back, Reshape((h * w, c)))
    branch = Accumulators(placed, branch.scale, branch.bias)
    stream = build.residual_add(f"{name}.add1", stream, branch, middle)
    source = build.layer_norm(f"{name}.norm2", block.norm2, stream, block.mlp.fc1.formats.a[0])
    return build.residual_add(f"{name}.add2", stream, perceptron(build, f"{name}.mlp", block.mlp, source), end)


def _check_block(name: str, block: Any, size: tuple[int, ...]) -> None:
    check_type(name, block, "models.swin_transformer.SwinTransformerBlock")
    for part in ("drop_path1", "drop_path2"):
        check_idle(f"{name}.{part}", getattr(block, part))
    for part in ("norm1", "norm2"):
        check_norm(f"{name}.{part}", getattr(block, part))
    check_attention(f"{name}.attn", block.attn)
    check_perceptron(f"{name}.mlp", block.mlp)
    if any(side % window for side, window in zip(size, block.window_size, strict=True)):
        raise no_unit(name, block, f"whose windows of {block.window_size} do not divide {size[0]} x {size[1]} tokens")


def _position_bias(block: Any) -> NDArray[np.float64]:
    """Relative position bias and the mask of shifted windows, [H, 1 or windows, T, T]."""
    bias: NDArray[np.float64] = numbers(block.attn.original._get_rel_pos_bias())[0][:, None]
    if block.attn_mask is not None:
        bias = bias + numbers(block.attn_mask)[None]
    return bias
