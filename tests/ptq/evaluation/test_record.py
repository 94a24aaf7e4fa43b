"""Golden vectors of a layer: the codes that really meet in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import ptqsim as pq
from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.ptq.evaluation.record import record_codes


def test_codes_are_those_of_the_weights_and_nothing_else_changes(
    quantized: ptq.QuantizedModel, images: torch.Tensor
) -> None:
    before = quantized.mode, dict(quantized.accumulators)
    a, b = record_codes(quantized, images[:2], "blocks.0.mlp.fc2")
    assert (quantized.mode, dict(quantized.accumulators)) == before
    assert quantized.layers["blocks.0.mlp.fc2"].integer.recorder is None
    assert (a.shape, b.shape) == ((2 * 17, 128), (128, 32))
    layer = quantized.layers["blocks.0.mlp.fc2"]
    assert layer.formats is not None
    assert (a.format, b.format) == (layer.formats.a[0], layer.formats.b[0])
    alone, _ = record_codes(quantized, images[:1], "blocks.0.mlp.fc2")
    assert np.array_equal(a.codes[:17], alone.codes)


def test_groups_are_heads(quantized: ptq.QuantizedModel, images: torch.Tensor) -> None:
    name = "blocks.1.attn.matmul_pv"
    heads = [record_codes(quantized, images[:2], name, group)[0] for group in (0, 1)]
    assert heads[0].shape == (2, 17, 17)
    assert not np.array_equal(heads[0].codes, heads[1].codes)
    with pytest.raises(ValueError, match="no group 2; legal is group 0 to 1"):
        record_codes(quantized, images[:1], name, 2)
    with pytest.raises(ValueError, match="Did you mean 'head'"):
        record_codes(quantized, images[:1], "heads")


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "m.safetensors", tmp_path / "vectors"
    few = ["--images", "2", "-O", "n=4", "-O", "rounds=1"]
    assert app.main(["calibrate", "--w-bits", "6", "--a-bits", "6", *few, "-o", str(file)]) == 0
    arguments = ["--rows", "5", "--cols", "3", "--bits", "9", "--overflow", "saturate", "-o", str(out)]
    assert app.main(["vectors", str(file), "--layer", "blocks.0.mlp.fc2", *arguments]) == 0
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["a"]["shape"] == [5, 384]
    assert manifest["source"]["layer"] == "blocks.0.mlp.fc2"
    assert str(tmp_path) not in (out / "manifest.json").read_text(encoding="utf-8")
    loaded = ptq.load_with_model(file)
    samples = ptq.sample_images(ptq.load_data("digits", loaded.model), 1, 0)
    a, b = record_codes(loaded, samples, "blocks.0.mlp.fc2")
    with np.load(out / "vectors.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["a"], a.codes[:5])
        assert np.array_equal(arrays["acc"], pq.matmul(a, b, pq.Accumulator(9, "saturate")).acc[:5, :3])
    assert app.main(["vectors", "--check", str(out)]) == 0
    capsys.readouterr()
    assert app.main(["vectors", str(file), "-o", str(out)]) == 2
    assert "try --layer patch_embed.proj" in capsys.readouterr().err
