"""The weights of a DINOv2 encoder out of an ONNX file that transformers exported, under timm's names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

Array = NDArray[np.float32]

_LAYERS: Final = (
    ("attn.proj", "attention/output/dense"),
    ("mlp.fc1", "mlp/fc1"),
    ("mlp.fc2", "mlp/fc2"),
)
_QKV: Final = ("query", "key", "value")


def encoder_weights(model: bytes, *, width: int, depth: int, side: int) -> dict[str, torch.Tensor]:
    """Weights of timm's network, without a head.

    Parameters
    ----------
    model : bytes
        The ONNX file; nothing in it is run.
    width, depth : int
        Channels and blocks.
    side : int
        Patches along a side of the image, to which the position embeddings are resized.

    Raises
    ------
    ValueError
        Where the file can't be read, or is of another network.
    """
    initializers, products = _read(model)
    try:
        weights = dict(_named(initializers, products, width, depth))
    except (KeyError, ValueError) as error:
        raise ValueError(f"the ONNX file is of another network: it lacks {error}") from None
    named = {name: torch.from_numpy(np.array(array, np.float32, order="C")) for name, array in weights.items()}
    return named | {"pos_embed": resized_positions(named["pos_embed"], side)}


def resized_positions(embedding: torch.Tensor, side: int) -> torch.Tensor:
    """Position embeddings [1, 1 + M*M, D] for another number of patches, [1, 1 + side*side, D], as timm resizes them.

    In float64, as timm's float32 has last bits that depend on the processor.
    """
    old = round((embedding.shape[1] - 1) ** 0.5)
    grid = embedding[:, 1:].double().reshape(1, old, old, -1).permute(0, 3, 1, 2)
    grid = interpolate(grid, size=(side, side), mode="bicubic", antialias=True)
    return torch.cat([embedding[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2).float()], dim=1)


def _read(model: bytes) -> tuple[Mapping[str, Array], Mapping[str, str]]:
    """Initializers by name, and for each product with one of them, by its name, which."""
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        graph = onnx.load_model_from_string(model).graph
    except DecodeError as error:
        raise ValueError(f"the ONNX file can't be read ({error})") from None
    arrays: dict[str, Any] = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    products = {
        node.name: name for node in graph.node if node.op_type == "MatMul" for name in node.input if name in arrays
    }
    return arrays, products


def _named(
    arrays: Mapping[str, Array], products: Mapping[str, str], width: int, depth: int
) -> Iterator[tuple[str, Array]]:
    embeddings = "backbone.embeddings."
    yield "cls_token", arrays[embeddings + "cls_token"]
    # the exporter folded them with the token's: they have lost their name, and are known by their shape
    positions = [a for name, a in arrays.items() if name.startswith("onnx::") and a.ndim == 3 and a.shape[2] == width]
    token, patches = sorted(positions, key=lambda array: array.shape[1])
    yield "pos_embed", np.concatenate([token, patches], axis=1)
    for part in ("weight", "bias"):
        yield f"patch_embed.proj.{part}", arrays[f"{embeddings}patch_embeddings.projection.{part}"]
        yield f"norm.{part}", arrays[f"backbone.layernorm.{part}"]
    for block in range(depth):
        for name, array in _block(arrays, products, block):
            yield f"blocks.{block}.{name}", array


def _block(arrays: Mapping[str, Array], products: Mapping[str, str], block: int) -> Iterator[tuple[str, Array]]:
    path, place = f"/backbone/encoder/layer.{block}/", f"backbone.encoder.layer.{block}."

    def matrix(layer: str) -> Array:
        return arrays[products[f"{path}{layer}/MatMul"]].T

    def bias(layer: str) -> Array:
        return arrays[f"{place}{layer.replace('/', '.')}.bias"]

    qkv = [f"attention/attention/{name}" for name in _QKV]
    yield "attn.qkv.weight", np.concatenate([matrix(layer) for layer in qkv])
    yield "attn.qkv.bias", np.concatenate([bias(layer) for layer in qkv])
    for new, old in _LAYERS:
        yield f"{new}.weight", matrix(old)
        yield f"{new}.bias", bias(old)
    for i in (1, 2):
        for part in ("weight", "bias"):
            yield f"norm{i}.{part}", arrays[f"{place}norm{i}.{part}"]
        yield f"ls{i}.gamma", arrays[f"{place}layer_scale{i}.lambda1"]
