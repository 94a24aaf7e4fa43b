"""A checkpoint is its author's to the last bit, or refused; and it is as small as its codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from ptqsim.ptq.network.description.identity import tensors_fingerprint
from ptqsim.ptq.network.products.operations import OperandFormats
from tests.ptq.networks import timm_model


@pytest.fixture
def path(quantized: ptq.QuantizedModel, tmp_path: Path) -> Path:
    quantized.save(tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the header of a checkpoint, as somebody who knows safetensors would."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["ptqsim"])
    change(header)
    save_file(load_file(path), path, {"ptqsim": json.dumps(header)})


def set_scale(header: dict[str, Any]) -> None:
    header["layers"]["head"]["a"][0]["scale"] *= 2


def set_bits(header: dict[str, Any]) -> None:
    header["layers"]["blocks.0.attn.matmul_qk"]["a"][0]["bits"] = 8


def set_shift(header: dict[str, Any]) -> None:
    header["layers"]["blocks.0.attn.matmul_pv"]["a"][0]["shift"] += 1


def set_seed(header: dict[str, Any]) -> None:
    header["info"]["seed"] = 1


def drop_digest(header: dict[str, Any]) -> None:
    del header["digest"]


def pretend_to_be_old(header: dict[str, Any]) -> None:
    set_scale(header)
    header["version"] = 2


@pytest.mark.parametrize("change", [set_scale, set_bits, set_shift, set_seed, drop_digest, pretend_to_be_old])
def test_a_changed_header_is_refused(path: Path, model: nn.Module, change: Callable[[dict[str, Any]], None]) -> None:
    rewrite(path, lambda header: None)
    ptq.load(path, model)  # rewriting by itself does no harm
    rewrite(path, change)
    with pytest.raises(ValueError, match="changed after it was written"):
        ptq.load(path, model)


@pytest.mark.parametrize("header", ["", "{", "[]", "3", "null", '"text"', "{}", '{"version": 3}', '{"version": 2}'])
def test_a_header_of_something_else_is_refused(path: Path, model: nn.Module, header: str) -> None:
    save_file(load_file(path), path, {"ptqsim": header})
    with pytest.raises(ValueError, match="make it anew"):
        ptq.load(path, model)


def test_no_flipped_bit_and_no_cut_goes_unseen(path: Path, model: nn.Module, rng: np.random.Generator) -> None:
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    # half of the flips in the header, which is smaller than the tensors
    for position in [*rng.integers(0, header, 60).tolist(), *rng.integers(header, len(whole), 60).tolist()]:
        changed = bytearray(whole)
        changed[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=str(path)):
            ptq.load(path, model)
    for length in rng.integers(0, len(whole), 20).tolist():
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="truncated"):
            ptq.load(path, model)


def test_files_of_version_2_are_read(
    quantized: ptq.QuantizedModel, path: Path, model: nn.Module, images: torch.Tensor
) -> None:
    def as_version_2(header: dict[str, Any]) -> None:
        header |= {"version": 2, "digest": tensors_fingerprint(load_file(path).items())}

    rewrite(path, as_version_2)
    assert torch.equal(ptq.load(path, model)(images), quantized(images))


def with_formats(name: str, bits: int) -> ptq.QuantizedModel:
    """Random weights, every operand in a uniform format that reaches to the largest weight, or to 4."""
    torch.manual_seed(0)
    quantized = ptq.QuantizedModel(timm_model(name), {"model": name})
    top = 2 ** (bits - 1) - 1
    for op in quantized.layers.values():
        reach = 4.0 if op.constant_b is None else float(op.constant_b.abs().max())
        op.formats = OperandFormats((pq.Uniform(bits, 4.0 / top),), (pq.Uniform(bits, reach / top),) * op.groups[1])
    return quantized


@pytest.mark.slow
def test_vit_base_w6_takes_6_32_of_its_float_weights(tmp_path: Path) -> None:
    quantized = with_formats("vit_base_patch16_224", 6)
    quantized.mode = "integer"
    path = tmp_path / "vit_b.safetensors"
    quantized.save(path)
    weights = sum(op.constant_b.numel() for op in quantized.layers.values() if op.constant_b is not None)
    # patches, 12 blocks of 12 D^2 each, head
    assert weights == 768 * 768 + 12 * 12 * 768**2 + 768 * 1000
    stored = load_file(path)
    packed = sum(t.numel() for name, t in stored.items() if name.startswith("codes/"))
    assert packed * 32 == 6 * 4 * weights
    rest = sum(t.numel() for name, t in stored.items() if name.startswith("float/"))
    # beside the codes: what isn't quantized, at 4 bytes, and a header of 0.2 % at most
    assert packed + 4 * rest < path.stat().st_size < 1.002 * (packed + 4 * rest)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    loaded = ptq.load_with_model(path)
    loaded.mode = "integer"
    assert torch.equal(loaded(images), quantized(images))
