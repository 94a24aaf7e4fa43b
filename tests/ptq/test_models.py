"""Networks from where users have them, and their evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from ptqsim import ptq


def test_the_bundled_model_loads_and_is_accurate() -> None:
    model = ptq.load_model("vit_digits")
    result = ptq.evaluate(model, ptq.load_data("digits", model), limit=1000)
    assert 80 <= result.top1 <= 97
    assert ptq.BUNDLED["vit_digits"].weights.stat().st_size <= 4 * 2**20


def test_a_timm_model_from_a_local_checkpoint_calibrates_on_a_folder(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = timm.create_model("test_vit", num_classes=2).eval()
    save_file({k: v.contiguous() for k, v in original.state_dict().items()}, tmp_path / "w.safetensors")
    model = ptq.load_model("test_vit", checkpoint=tmp_path / "w.safetensors")
    data = ptq.load_data(folder, model)
    assert len(data) == 6
    images, labels = data.read(range(6))
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    with torch.no_grad():
        assert torch.equal(model(images), original(images))
    samples = ptq.sample_images(ptq.load_data(folder, model, split="calibration"), 4, seed=1)
    q = ptq.calibrate(model, samples, w_bits=8, a_bits=8, n=5)
    q.mode = "integer"
    result = ptq.evaluate(q, data)
    assert result.images == 6


def test_wrong_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="vit_digits"):
        ptq.load_model("vit_digit")
    with pytest.raises(ValueError, match="vit_tiny_patch16_224"):
        ptq.load_model("vit_tiny_patch16_22")
    with pytest.raises(ValueError, match="--pretrained"):
        ptq.load_model("vit_tiny_patch16_224")
    with pytest.raises(ValueError, match="bundled"):
        ptq.load_model("vit_digits", pretrained=True)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        ptq.load_model("vit_digits", checkpoint=tmp_path / "none.safetensors")
    weights = ptq.BUNDLED["vit_digits"].build().state_dict()
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with pytest.raises(ValueError, match="truncated"):
        ptq.load_model("vit_digits", checkpoint=tmp_path / "cut.safetensors")
    save_file({k: v for k, v in weights.items() if k != "head.bias"}, tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match=r"no tensor 'head\.bias'"):
        ptq.load_model("vit_digits", checkpoint=tmp_path / "part.safetensors")
    save_file(weights | {"extra": torch.zeros(1)}, tmp_path / "more.safetensors")
    with pytest.raises(ValueError, match="'extra'"):
        ptq.load_model("vit_digits", checkpoint=tmp_path / "more.safetensors")
    save_file(weights | {"head.bias": torch.zeros(7)}, tmp_path / "shape.safetensors")
    with pytest.raises(ValueError, match=r"shape \(7,\)"):
        ptq.load_model("vit_digits", checkpoint=tmp_path / "shape.safetensors")


def test_evaluation_counts_what_it_says() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    one = ptq.Evaluation(logits, torch.tensor([0, 1, 1, 1]))
    assert one.top1 == 75.0
    expected = -np.log([np.e / (np.e + 1), np.e**2 / (np.e**2 + 1), 1 / (np.e**3 + 1), np.e / (np.e + 1)]).mean()
    assert one.cross_entropy == pytest.approx(expected)
    changed = logits.clone()
    changed[2] = torch.tensor([-1.0, 0.5])
    gap = ptq.difference(one, ptq.Evaluation(changed, one.labels))
    assert (gap.logits, gap.of, gap.predictions, gap.largest) == (2, 8, 1, 4.0)
    with pytest.raises(ValueError, match="same images"):
        ptq.difference(one, ptq.Evaluation(logits[:2], one.labels[:2]))


def test_data_with_more_classes_than_the_model_is_refused() -> None:
    model = timm.create_model("test_vit", num_classes=3, img_size=32).eval()
    with pytest.raises(ValueError, match="the model knows 3 classes"):
        ptq.evaluate(model, ptq.load_data("digits", model), limit=20)
