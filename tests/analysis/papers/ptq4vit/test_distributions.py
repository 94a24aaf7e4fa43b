"""Fig. 2 against the values of the network, computed again with NumPy and SciPy from timm's own modules."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import pytest
import torch
from scipy.special import erf, softmax

from analysis.papers.ptq4vit.fig2_distributions import Distributions
from ptqsim import ptq


def inputs_of(module, model, images):
    seen = []
    handle = module.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().double().numpy()))
    with torch.no_grad():
        model(images)
    handle.remove()
    return seen[0]


def linear(module, x):
    return x @ module.weight.detach().double().numpy().T + module.bias.detach().double().numpy()


def post_softmax(model, block, images):
    attention = model.blocks[block].attn
    x = inputs_of(attention, model, images)
    q, k, _ = linear(attention.qkv, x).reshape(*x.shape[:2], 3, 2, 16).transpose(2, 0, 3, 1, 4)
    return softmax(q @ k.swapaxes(-1, -2) / 16**0.5, axis=-1).ravel()


def post_gelu(model, block, images):
    fc1 = model.blocks[block].mlp.fc1
    x = linear(fc1, inputs_of(fc1, model, images))
    return (0.5 * x * (1 + erf(x / 2**0.5))).ravel()


@pytest.mark.parametrize("block", [0, 1])
def test_histograms(workload, tiny_model, block):
    data = Distributions(block=block, bins=16).compute(workload)
    images = ptq.sample_images(workload.calibration, 4, 0)
    gelu = post_gelu(tiny_model, block, images)
    for kind, values in (("softmax", post_softmax(tiny_model, block, images)), ("gelu", gelu[gelu < 0])):
        shown = data["distribution"].where(kind=kind)
        edges = [*shown.column("left"), shown.column("right")[-1]]
        ordered = sorted(values)
        below = np.array([bisect_right(ordered, edge) for edge in edges])
        # a value within float32 rounding of an edge may fall on its other side
        assert np.abs(np.cumsum(shown.column("count")) - (below[1:] - below[0])).max() <= 4
        assert sum(shown.column("count")) == pytest.approx(len(values), abs=4)
        np.testing.assert_allclose(shown.values("share"), shown.values("count") / len(values), rtol=1e-3)


def test_a_block_that_is_not_there(workload):
    with pytest.raises(ValueError, match="block 7 were asked for; the model has them in blocks 0 to 1"):
        Distributions(block=7).compute(workload)
