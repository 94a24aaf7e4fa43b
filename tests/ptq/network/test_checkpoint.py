"""Calibrated models on disk: the same bits back, and whatever is not such a file refused."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from ptqsim.ptq.calibration.layer_cache import _read
from ptqsim.ptq.network.products.operations import OperandFormats
from ptqsim.ptq.zoo.weights import read_weights


@pytest.fixture
def path(quantized: ptq.QuantizedModel, tmp_path: Path) -> Path:
    quantized.save(tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


@pytest.mark.parametrize("mode", ["fake_quant", "integer", "float"])
def test_the_same_logits_come_back(
    quantized: ptq.QuantizedModel, path: Path, model: nn.Module, images: torch.Tensor, mode: str
) -> None:
    loaded = ptq.load(path, model)
    assert loaded.info["float_weights"] == "original"
    try:
        loaded.mode = quantized.mode = mode  # type: ignore[assignment]
        assert torch.equal(loaded(images), quantized(images))
    finally:
        quantized.mode = "fake_quant"
    for name, op in quantized.layers.items():
        assert loaded.layers[name].formats == op.formats
        assert {k: b.bits for k, b in loaded.layers[name].bounds.items()} == {k: b.bits for k, b in op.bounds.items()}


def test_codes_suffice_without_the_original_weights(
    quantized: ptq.QuantizedModel, path: Path, model: nn.Module, images: torch.Tensor
) -> None:
    import copy

    other = copy.deepcopy(model)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(1.0)
    loaded = ptq.load(path, other)
    assert loaded.info["float_weights"] == "decoded"
    assert torch.equal(loaded(images), quantized(images))
    loaded.mode = quantized.mode = "integer"
    assert torch.equal(loaded(images), quantized(images))
    quantized.mode = "fake_quant"


def test_weights_are_stored_packed(quantized: ptq.QuantizedModel, path: Path) -> None:
    tensors = load_file(path)
    stored = sum(t.numel() for name, t in tensors.items() if name.startswith("codes/"))
    weights = sum(op.constant_b.numel() for op in quantized.layers.values() if op.constant_b is not None)
    assert stored == pytest.approx(weights * 6 / 8, rel=1e-3)


def test_damaged_and_foreign_files_are_refused(path: Path, model: nn.Module, tmp_path: Path) -> None:
    whole = path.read_bytes()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="truncated"):
        ptq.load(cut, model)
    changed = bytearray(whole)
    changed[-7] ^= 1
    cut.write_bytes(changed)
    with pytest.raises(ValueError, match="changed after it was written"):
        ptq.load(cut, model)
    save_file({"x": torch.zeros(3)}, cut)
    with pytest.raises(ValueError, match="no ptqsim checkpoint"):
        ptq.load(cut, model)
    cut.write_text("hello")
    with pytest.raises(ValueError, match="no readable safetensors"):
        ptq.load(cut, model)
    with pytest.raises(FileNotFoundError, match="ptqsim calibrate -o"):
        ptq.load(tmp_path / "none.safetensors", model)


def test_another_architecture_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="another architecture"):
        ptq.load(path, ptq.BUNDLED["vit_digits"].build())


def test_a_model_without_formats_is_not_saved(model: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="calibrate the model"):
        ptq.QuantizedModel(model).save(tmp_path / "x.safetensors")


def test_the_header_is_json_also_of_a_score_that_is_not_finite(
    quantized: ptq.QuantizedModel, model: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, op = next(iter(quantized.layers.items()))
    monkeypatch.setattr(op, "report", {**op.report, "score": float("nan")})
    quantized.save(tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", framework="pt") as file:
        header = file.metadata()["ptqsim"]
    assert "NaN" not in header
    assert ptq.load(tmp_path / "m.safetensors", model).layers[name].report["score"] is None


def test_names_that_are_no_utf_8(
    quantized: ptq.QuantizedModel, model: nn.Module, images: torch.Tensor, tmp_path: Path
) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.safetensors")
    quantized.save(path)
    assert ptq.load(path, model).layers.keys() == quantized.layers.keys()
    assert read_weights(path).keys() >= {"float/head.bias"}
    state = tmp_path / os.fsdecode(b"\xff.state")
    ptq.calibrate(model, images[:2], method="percentile", state=state)
    kept = ptq.LayerCache(state)
    assert len(kept) == len(quantized.layers)
    assert all(_read(file).depth > 0 for file in state.iterdir())


def test_layers_that_share_a_weight_keep_codes_of_their_own(
    model: nn.Module, images: torch.Tensor, tmp_path: Path
) -> None:
    """Also decoded, on weights that are not the original ones."""
    tied = copy.deepcopy(model)
    tied.blocks[1].mlp.fc1.weight = tied.blocks[0].mlp.fc1.weight  # type: ignore[index, union-attr]
    quantized = ptq.calibrate(tied, images, method="percentile", w_bits=6, a_bits=6)
    one, other = (quantized.layers[f"blocks.{i}.mlp.fc1"] for i in (0, 1))
    assert one.formats is not None
    other.formats = OperandFormats(one.formats.a, (pq.Uniform(3, one.formats.b[0].scale),))
    quantized.mode = "fake_quant"
    quantized.save(tmp_path / "tied.safetensors")
    with torch.no_grad():
        tied.blocks[0].mlp.fc1.weight.zero_()  # type: ignore[index, union-attr]
    loaded = ptq.load(tmp_path / "tied.safetensors", tied)
    assert loaded.info["float_weights"] == "decoded"
    assert torch.equal(loaded(images), quantized(images))
    for name, op in loaded.layers.items():
        if op.weight_codes is not None and op.constant_b is not None:
            decoded = np.stack([codes.real() for codes in op.weight_codes]).astype(np.float32)
            assert np.array_equal(op.constant_b.numpy(), decoded), name


def test_hooks_of_state_dict_change_nothing_that_is_stored(
    model: nn.Module, images: torch.Tensor, quantized: ptq.QuantizedModel, tmp_path: Path
) -> None:
    hooked = copy.deepcopy(model)
    hooked._register_state_dict_hook(lambda m, state, prefix, meta: {k: torch.zeros_like(v) for k, v in state.items()})
    q = ptq.calibrate(hooked, images, method="ptq4vit", w_bits=6, a_bits=6, n=12)
    q.save(tmp_path / "hooked.safetensors")
    for network in (model, hooked):
        assert torch.equal(ptq.load(tmp_path / "hooked.safetensors", network)(images), quantized(images))
