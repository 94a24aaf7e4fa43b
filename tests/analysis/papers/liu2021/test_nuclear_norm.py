"""Fig. 1's nuclear norms against NumPy's singular values of what timm's own modules give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

from analysis.papers.liu2021.fig1_nuclear_norm import NuclearNorm
from ptqsim import ptq


def traced(module, model, images, output=False):
    seen = []
    handle = module.register_forward_hook(
        lambda _, args, out: seen.append((out if output else args[0]).double().numpy())
    )
    with torch.no_grad():
        model(images)
    handle.remove()
    return seen[0]


def norm(matrices):
    return np.linalg.svd(matrices, compute_uv=False).sum()


@pytest.mark.parametrize("attention", ["scores", "probabilities"])
def test_norms(workload, tiny_model, attention):
    found = NuclearNorm(attention=attention).compute(workload)["norms"]
    images = ptq.sample_images(workload.calibration, 4, 0)
    for number, block in enumerate(tiny_model.blocks):
        x = traced(block.attn, tiny_model, images)
        qkv = x @ block.attn.qkv.weight.detach().double().numpy().T + block.attn.qkv.bias.detach().double().numpy()
        q, k, _ = qkv.reshape(*x.shape[:2], 3, 2, 16).transpose(2, 0, 3, 1, 4)
        scores = q @ k.swapaxes(-1, -2)  # Eq. 3
        shown = softmax(scores / 16**0.5, axis=-1) if attention == "probabilities" else scores
        row = found.where(module=f"blocks.{number}.attn").records()[0]
        assert row["nuclear_norm"] == pytest.approx(norm(shown) / 4, rel=1e-4)
        row = found.where(module=f"blocks.{number}.mlp").records()[0]
        output = traced(block.mlp, tiny_model, images, output=True)
        assert row["nuclear_norm"] == pytest.approx(norm(output) / 4, rel=1e-4)


def test_an_unknown_attention_map():
    with pytest.raises(ValueError, match="Did you mean 'scores'"):
        NuclearNorm(attention="score")
