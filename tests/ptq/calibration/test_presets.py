"""Presets: published methods as arguments of a calibration, by name and on the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from ptqsim.cli.framework.app import main
from ptqsim.cli.network import calibrate as command
from tests.ptq.conftest import tiny_vit

QUICK: dict[str, dict[str, Any]] = {
    name: {"rounds": 1, "n": 8, "iterations": 20, "batch": 4} if "Reconstruct" in type(one.method).__name__ else {"n": 8}
    for name, one in ptq.PRESETS.items()
}

pytestmark = pytest.mark.filterwarnings("ignore:.*weights to be rounded")


def made(name: str, model: nn.Module, images: torch.Tensor, **more: Any) -> ptq.QuantizedModel:
    arguments = ptq.preset(name).arguments()
    arguments["method"] = replace(arguments["method"], **QUICK[name])
    return ptq.calibrate(model, images, w_bits=4, a_bits=4, **arguments, **more)


@pytest.mark.parametrize("name", ptq.PRESETS)
def test_networks_are_integers(name: str, model: nn.Module, images: torch.Tensor) -> None:
    q = made(name, model, images)
    q.mode = "integer"
    assert all(check.mismatches == 0 for check in ptq.verify(q, images, outputs=40).values())
    softmax = {type(fmt) for op in q.layers.values() if op.a_kind == "softmax" for fmt in op.formats.a}
    assert softmax == {pq.Log2} if name in ("repq_vit", "adalog") else {pq.Uniform}
    assert not any(isinstance(fmt, pq.TwinGELU) for op in q.layers.values() for fmt in op.formats.a)


def test_rounding_alone_is_learned_by_adaround(model: nn.Module, images: torch.Tensor) -> None:
    q = made("adaround", model, images)
    search = ptq.preset("adalog").arguments() | {"formats": None}
    search["method"] = replace(search["method"], rounds=1, n=8)
    start = ptq.calibrate(model, images, w_bits=4, a_bits=4, **search)
    changed = 0
    for name, op in q.layers.items():
        assert op.formats == start.layers[name].formats
        if op.constant_b is not None:
            pairs = zip(op.weight_codes, start.layers[name].weight_codes, strict=True)
            changed += any(not np.array_equal(ours.codes, theirs.codes) for ours, theirs in pairs)
    assert changed > 3
    assert [part["part"] for part in q.info["reconstruction"]] == [
        name for name, op in q.layers.items() if op.constant_b is not None
    ]


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(ValueError, match="qdrop"):
        ptq.preset("qdrp")


def test_the_command_takes_a_preset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "load_network", lambda *args: tiny_vit())
    out = tmp_path / "m.safetensors"
    arguments = ["calibrate", "--preset", "repq_vit", "--w-bits", "6", "--a-bits", "6", "--images", "4", "-O", "n=4"]
    assert main([*arguments, "-o", str(out), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)["info"]
    assert info["preset"] == "repq_vit"
    assert info["method"] == "base_ptq"
    assert info["options"]["n"] == 4
    assert info["w_granularity"] == "channel"
    assert [fold["fold"] for fold in info["folds"]] == ["centering", "smoothing"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--preset", "repq"], ["repq_vit"]),
        (["--preset", "qdrop", "--method", "percentile", "--a-asymmetric"], ["--method", "--a-asymmetric", "-O"]),
        (["--preset", "qdrop", "-O", "iteration=3"], ["iterations"]),
    ],
)
def test_wrong_options(
    arguments: list[str], named: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", *arguments, "-o", str(tmp_path / "m.safetensors")]) != 0
    err = capsys.readouterr().err
    assert all(word in err for word in named)
    assert "Traceback" not in err


def test_the_list_has_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--preset", "help", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == list(ptq.PRESETS)
