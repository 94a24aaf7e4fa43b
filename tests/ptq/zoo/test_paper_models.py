"""Every network of the papers: each of its matrix products is found, quantized and run in integers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from ptqsim.ptq.network.input_size import input_size
from ptqsim.ptq.zoo.models import build
from ptqsim.ptq.zoo.names import PAPER_MODELS, timm_name

SMALL = ["vit_small_patch32", "swin_tiny"]  # a few seconds each; DeiT-S has the modules of ViT-S
OTHERS = [
    "vit_small", "vit_base", "vit_base_384", "vit_large", "deit_small", "deit_base", "deit_base_384",
    "swin_small", "swin_base", "swin_base_384",
]  # fmt: skip


def products_of_the_tree(network: nn.Module) -> Counter[str]:
    """Names of the products, from the classes of timm's modules alone: every layer with a weight, two per attention."""
    names: Counter[str] = Counter()
    for name, module in network.named_modules():
        if type(module).__name__ in ("Attention", "WindowAttention"):
            names.update([f"{name}.matmul_qk", f"{name}.matmul_pv"])
        elif getattr(module, "weight", None) is not None and module.weight.ndim > 1:  # type: ignore[union-attr, operator]
            names.update([name])
    return names


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_every_product_is_found_quantized_and_run_in_integers(name: str, count_products: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    network = build(name)
    image = torch.randn(1, *input_size(network))
    expected = products_of_the_tree(network)
    with torch.no_grad(), count_products() as in_float:
        logits = network(image)
    assert in_float.count == expected.total()  # each is used once: the tree and the calls agree

    quantized = ptq.calibrate(network, image, method="percentile", w_bits=8, a_bits=8)
    del network
    assert Counter(list(quantized.layers)) == expected
    ran: Counter[str] = Counter()

    def record(layer: str, group: int, a: pq.QuantizedArray, b: pq.QuantizedArray, result: pq.MatmulResult) -> None:
        ran.update([layer])

    for layer in quantized.layers.values():
        assert layer.formats is not None
        layer.integer.recorder = record
    quantized.mode = "integer"
    with count_products() as beside:
        out = quantized(image)
    assert beside.count == 0  # no product is left to torch
    assert ran == Counter({layer: max(op.groups) for layer, op in quantized.layers.items()})
    # random weights: 8 bits leave most of the signal, and garbage would leave none
    assert torch.nn.functional.cosine_similarity(out, logits).item() > 0.9


def test_short_names_are_of_networks_that_timm_has_weights_for() -> None:
    import timm

    assert PAPER_MODELS.keys() == {*SMALL, *OTHERS}
    for short, full in PAPER_MODELS.items():
        assert timm_name(short) == full
        assert full in timm.list_pretrained()
        assert not timm.is_model(short)  # or the short name would hide one of timm's


@pytest.mark.parametrize(
    ("short", "width", "depth", "pixels"),
    [
        ("vit_small", 384, 12, 224), ("vit_base", 768, 12, 224), ("vit_large", 1024, 24, 224),
        ("vit_base_384", 768, 12, 384), ("deit_small", 384, 12, 224), ("deit_base_384", 768, 12, 384),
        ("swin_tiny", 768, 12, 224), ("swin_small", 768, 24, 224), ("swin_base", 1024, 24, 224),
        ("swin_base_384", 1024, 24, 384),
    ],
)  # fmt: skip
def test_short_names_stand_for_the_sizes_of_the_papers(short: str, width: int, depth: int, pixels: int) -> None:
    with torch.device("meta"):
        network = build(short)
    attentions = [m for m in network.modules() if type(m).__name__ in ("Attention", "WindowAttention")]
    assert (network.num_features, len(attentions), input_size(network)) == (width, depth, (3, pixels, pixels))
