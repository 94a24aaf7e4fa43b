"""Attention and multilayer perceptrons as steps: what timm's ViT, DeiT and Swin have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

import ptqsim as pq
from ptqsim import units
from ptqsim.integer_only import Apply, Combine, Product, Reshape, Take, Transpose
from ptqsim.integer_only.steps import spread
from ptqsim.ptq.integer_only.builder import Accumulators, Builder, nearest, shared
from ptqsim.ptq.integer_only.functions import unit_of
from ptqsim.ptq.integer_only.options import GELUS, SOFTMAXES
from ptqsim.ptq.integer_only.refuse import no_unit
from ptqsim.ptq.network.products.operations import MatmulOperation


def attention(
    build: Builder, name: str, module: Any, source: str, bias: NDArray[np.float64] | None = None
) -> Accumulators:
    """Attention of codes [..., T, C]; the accumulators of its projection.

    Parameters
    ----------
    build : Builder
    name : str
    module : an adapter of `ptqsim.ptq.network.attention.adapters`
    source : str
        Codes in the format of the qkv layer; the axes before the last two are windows.
    bias : float64 array [H, ..., T, T], optional
        Added to the scores.
    """
    heads = int(module.heads)
    *windows, tokens, _ = build.edges[source].shape
    qkv = build.linear(module.qkv, source)
    depth = len(qkv.scale) // (3 * heads)
    lead = len(windows)
    axes = (lead + 1, lead + 2, *range(lead + 1), lead + 3)  # parts, heads, windows, tokens, depth
    formats = {"q": module.matmul_qk.formats.a, "k": module.matmul_qk.formats.b, "v": module.matmul_pv.formats.b}
    for part, letter in enumerate("qkv"):
        moved = build.move(
            f"{name}.{letter}.heads",
            qkv.edge,
            Reshape((*windows, tokens, 3, heads, depth)),
            Transpose(axes),
            Take(0, part, part + 1),
            Reshape((heads, *windows, tokens, depth)),
        )
        own = slice(part * heads * depth, (part + 1) * heads * depth)
        scales, biases = (one[own].reshape(heads, depth) for one in (qkv.scale, qkv.bias))
        made = [
            build.rescale_unit(Accumulators(moved, scales[h], biases[h]), fmt)
            for h, fmt in enumerate(spread(formats[letter], heads))
        ]
        build.add(Apply(f"{name}.{letter}", (moved,), tuple(made)))
    probabilities = _softmax(build, name, module, bias)
    values = build.add(Product(module.matmul_pv.name, probabilities, f"{name}.v"))
    merged = [
        build.rescale_unit(Accumulators(values, np.full(depth, scale), np.zeros(depth)), module.proj.formats.a[0])
        for scale in scales_of(module.matmul_pv, heads)
    ]
    build.add(Apply(f"{name}.values", (values,), tuple(merged)))
    joined = build.move(
        f"{name}.merged",
        f"{name}.values",
        Transpose((*range(1, lead + 2), 0, lead + 2)),
        Reshape((*windows, tokens, heads * depth)),
    )
    return build.linear(module.proj, joined)


def scales_of(op: MatmulOperation, heads: int) -> list[float]:
    """Real value of an accumulator unit of every head."""
    assert op.formats is not None
    pairs = zip(spread(op.formats.a, heads), spread(op.formats.b, heads), strict=True)
    return [float(a.scale * b.scale) for a, b in pairs]


def _softmax(build: Builder, name: str, module: Any, bias: NDArray[np.float64] | None) -> str:
    heads = int(module.heads)
    scores = build.add(Product(module.matmul_qk.name, f"{name}.q", f"{name}.k", transposed=True))
    units_of_score = [scale * float(module.scale) for scale in scales_of(module.matmul_qk, heads)]
    if bias is not None:
        constant = np.stack([nearest(one / unit) for one, unit in zip(bias, units_of_score, strict=True)])
        scores = build.add(Combine(f"{name}.scores", (scores,), ((1,),), constant))
    chosen = build.options.softmax
    options = dict(chosen.options)
    score_bits = options.pop("score_bits", 8 if chosen.kind == units.TFLiteSoftmax.kind else None)
    if score_bits is not None:
        scores, units_of_score = _requantized(build, name, scores, units_of_score, module, bias, score_bits)
    else:
        options["score_bits"] = build.edges[scores].bits
    if chosen.kind != units.TFLiteSoftmax.kind:
        options.setdefault("score_bits", score_bits)
    length = build.edges[scores].shape[-1]
    made = [
        SOFTMAXES[chosen.kind].from_real(unit, fmt, length, **options)
        for unit, fmt in zip(units_of_score, spread(module.matmul_pv.formats.a, heads), strict=True)
    ]
    return build.add(Apply(f"{name}.softmax", (scores,), tuple(made)))


def _requantized(
    build: Builder, name: str, scores: str, scales: list[float], module: Any, bias: Any, bits: int
) -> tuple[str, list[float]]:
    """Scores of `bits` bits, from the greatest magnitude of every head, and the real values of their units."""
    top = (1 << (bits - 1)) - 1
    reach = build.seen.scores[module.matmul_qk.name] * float(module.scale)
    if bias is not None:  # a masked score is any that is far below
        reach = reach + np.array([float(np.abs(one[one > -50]).max(initial=0.0)) for one in bias])
    steps = [max(float(one), 1e-6) / top for one in reach]
    made = [
        units.Rescale.from_real(
            scale, pq.Uniform(bits, step), acc_bits=build.edges[scores].bits,
            multiplier_bits=build.options.multiplier_bits,
        )
        for scale, step in zip(scales, steps, strict=True)
    ]  # fmt: skip
    return build.add(Apply(f"{name}.score_codes", (scores,), tuple(made))), steps


def perceptron(build: Builder, name: str, module: Any, source: str) -> Accumulators:
    """A layer, an activation function, a layer, from codes in the format of the first."""
    hidden = build.linear(module.fc1, source)
    return build.linear(module.fc2, activation(build, f"{name}.act", module.act, hidden, module.fc2.formats.a[0]))


def activation(build: Builder, name: str, module: nn.Module, given: Accumulators, out: Any) -> str:
    """An activation function of accumulators and bias."""
    kind = unit_of(module)
    if kind is None:
        raise no_unit(name, module)
    chosen = build.options.gelu
    options = dict(chosen.options)
    bits = options.pop("bits", 8)
    table = chosen.kind == units.GELU.kind or kind is not units.GELU
    index = build.seen.index_format(name, kind, out, bits, uniform=not table)
    made = (kind if table else GELUS[chosen.kind]).from_real(
        given.scales,
        index,
        out,
        shared(given.bias),
        build.acc_bits(given),
        options.pop("multiplier_bits", build.options.multiplier_bits),
        **({} if table and kind is not units.GELU else options),
    )
    return build.add(Apply(name, (given.edge,), (made,)))
