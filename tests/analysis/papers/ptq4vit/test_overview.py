"""Fig. 1: every product of the network is in it, counted from the tree of timm's modules."""

from __future__ import annotations

from torch import nn

from analysis.papers.ptq4vit.fig1_overview import Overview


def test_operations(workload, tiny_model):
    operations = Overview().compute(workload)["operations"]
    weights = [module for module in tiny_model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    products = 2 * len(tiny_model.blocks)  # Q K^T and P V
    assert len(operations) == len(weights) + products
    assert operations.distinct("block") == [None, "blocks.0", "blocks.1"]
    for row in operations.where(block="blocks.1").records():
        depth = {"qkv": 32, "matmul_qk": 16, "matmul_pv": 17, "linear": 128 if row["part"] == "mlp.fc2" else 32}
        assert row["depth"] == depth[row["kind"]]
        assert row["a"] == {"mlp.fc2": "gelu", "attn.matmul_pv": "softmax"}.get(row["part"], "uniform")
        assert (row["a_scales"], row["b_scales"]) == {"qkv": (1, 3), "linear": (1, 1)}.get(row["kind"], (2, 2))
