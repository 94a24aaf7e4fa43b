"""Times of whole networks."""

from __future__ import annotations

import json

import pytest

from benchmarks.networks import network
from ptqsim.cli.framework import app
from ptqsim.cli.framework.output import Output


def test_every_mode_is_timed_beside_float(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "CALIBRATION_IMAGES", 2)
    assert app.main(["bench", "--network", "--only", "vit_d*", "--rounds", "3", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["networks"]
    assert found["model"] == "vit_digits"
    assert found["parameters"] == sum(p.numel() for p in network.ptq.load_model("vit_digits").parameters())
    modes = {"fake_quant", "integer", "integer, statistics", "integer_only"}
    assert set(found["relative"]) == modes | {f"integer_only, saturate {bits}" for bits in network.SATURATING_BITS}
    assert all(ratio > 0 for ratio in found["relative"].values())
    assert found["calibration_seconds"] > found["float_seconds"] > 0


def test_an_unknown_network_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no network matches --only 'resnet50'; legal are vit_digits"):
        network.measure("resnet50", 3, 0, Output())
