"""Departure of float32 from exact integers, with the integers summed by NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.framework.workload import Setting
from analysis.simulator.departure import Departure

QKV, IMAGES = "blocks.0.attn.qkv", 4


@pytest.fixture
def layers(workload):
    return Departure(bits=6, images=IMAGES).compute(workload)["layers"]


def inputs(quantized, mode, images, name):
    seen = []
    handle = quantized.model.get_submodule(name).register_forward_pre_hook(lambda _, args: seen.append(args[0].numpy()))
    quantized.mode = mode
    quantized(images)
    handle.remove()
    return seen[0]


def codes(x, fmt):
    return np.clip(np.rint(x / np.float32(fmt.scale)), -32, 31).astype(np.int64)


def test_codes_that_reach_a_layer(workload, layers):
    quantized = workload.quantized(Setting("ptq4vit", 6, 6))
    images, _ = workload.validation.read(range(IMAGES))
    (fmt,) = quantized.layers[QKV].formats.a
    one, other = (codes(inputs(quantized, mode, images, QKV), fmt) for mode in ("integer", "fake_quant"))
    (row,) = layers.where(layer=QKV).records()
    assert row["codes"] == one.size
    assert row["codes_differ"] == (one != other).sum()
    (first,) = layers.where(layer="patch_embed.proj").records()
    assert first["codes_differ"] == 0  # the images are the same


def test_sums_of_a_layer(workload, layers):
    quantized = workload.quantized(Setting("ptq4vit", 6, 6))
    images, _ = workload.validation.read(range(IMAGES))
    (fmt,) = quantized.layers[QKV].formats.a
    a = codes(inputs(quantized, "integer", images, QKV), fmt).reshape(-1, 32)
    differ, largest = 0, 0.0
    weights = np.split(workload.network.blocks[0].attn.qkv.weight.detach().numpy(), 3)
    for weight, b_format in zip(weights, quantized.layers[QKV].formats.b, strict=True):
        b = codes(weight.T, b_format)
        exact = ((a @ b) * (np.float64(fmt.scale) * b_format.scale)).astype(np.float32)
        reals = [torch.from_numpy(x.astype(np.float32) * np.float32(f.scale)) for x, f in ((a, fmt), (b, b_format))]
        in_float = torch.matmul(*reals).numpy()
        differ += (in_float != exact).sum()
        largest = max(largest, np.abs(in_float.astype(np.float64) - exact).max())
    (row,) = layers.where(layer=QKV).records()
    assert row["outputs"] == a.shape[0] * 96
    # the order of a float32 sum is BLAS's choice, and may change with the shape
    assert row["outputs_differ"] == pytest.approx(differ, rel=0.05)
    assert row["largest_difference"] == pytest.approx(largest, rel=0.5)
    assert row["largest_difference"] < 1e-5 * row["largest_output"]


def test_deeper_sums_differ_more_often(layers):
    share = dict(zip(layers.column("layer"), layers.values("outputs_differ") / layers.values("outputs"), strict=True))
    assert share["blocks.0.mlp.fc2"] > share["blocks.0.mlp.fc1"]  # K = 128 and 32
