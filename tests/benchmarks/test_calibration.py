"""The calibration that is measured beside the plain one, on a small network."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from benchmarks.networks import calibration
from ptqsim.cli.framework import app
from tests.ptq.networks import vision_transformer


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(name: str) -> nn.Module:
        model = vision_transformer(
            img_size=16, patch_size=8, num_classes=5, embed_dim=16, depth=2, num_heads=2, init_values=None
        )
        model.pretrained_cfg = {"input_size": (3, 16, 16)}
        return model

    monkeypatch.setattr("timm.create_model", create)


@pytest.mark.usefixtures("small")
def test_both_choose_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    before = torch.get_num_threads()
    try:
        assert app.main(["bench", "--calibration", "vit_tiny_patch16_224", "--images", "3", "--every", "--json"]) == 0
    finally:
        torch.set_num_threads(before)
    found = json.loads(capsys.readouterr().out)["calibration"]
    assert (found["device"], found["images"], found["operations"]) == ("cpu", 3, 14)
    assert [one["name"] for one in found["compared"]].count("head") == 1
    assert len(found["compared"]) == 14
    assert sum(one["scales"] for one in found["compared"]) > 28
    assert found["same_share"] == 1.0
    assert found["excess"] <= calibration.LARGEST_EXCESS
    assert found["plain_seconds"] == pytest.approx(sum(one["plain_seconds"] for one in found["compared"]))
    assert found["times"] == pytest.approx(found["plain_seconds"] / found["seconds"])


def test_a_device_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["bench", "--calibration", "vit_tiny_patch16_224", "--device", "abacus"]) == 2
    assert "device 'abacus' can't be used" in capsys.readouterr().err
