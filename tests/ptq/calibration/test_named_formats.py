"""Calibration with formats that were named, in place of those of the method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.errors import ArgumentTypeError
from ptqsim.ptq.network.products.fake_quant import by_torch, fake_quantize
from tests.ptq.networks import HALF

FLOATS = {"softmax": "log_sqrt2", "gelu": "e3m4", "activation": "e4m3", "weight": "e4m3"}


def made(model: nn.Module, images: torch.Tensor, **more: Any) -> ptq.QuantizedModel:
    return ptq.calibrate(model, images, **{"w_bits": 5, "a_bits": 5, "n": 8, "rounds": 1, **more})


@pytest.fixture(scope="module")
def floats(model: nn.Module, images: torch.Tensor) -> ptq.QuantizedModel:
    return made(model, images, formats=FLOATS)


def test_every_kind_of_operand_has_its_format(floats: ptq.QuantizedModel) -> None:
    assert floats.info["formats"] == FLOATS
    for name, op in floats.layers.items():
        assert op.formats is not None
        a, b = op.formats.a[0], op.formats.b[0]
        expected = {"softmax": "log2 5 bit, base 2^(1/2)", "gelu": "E3M4"}.get(op.a_kind, "E4M3fn")
        assert ptq.describe([a]).split(", scale")[0] == expected, name
        assert b.name == "E4M3fn", name  # type: ignore[union-attr]


def test_integers_are_those_of_the_reference(floats: ptq.QuantizedModel, images: torch.Tensor) -> None:
    fake = floats(images)
    floats.accumulator = pq.Accumulator(bits=60)
    checks = ptq.verify(floats, images, outputs=40)
    assert len(checks) == len(floats.layers)
    assert all(check.mismatches == 0 for check in checks.values())
    floats.mode = "integer"
    assert torch.allclose(floats(images), fake, atol=1e-5)
    floats.mode = "fake_quant"


def test_bounds_are_those_of_the_codes(floats: ptq.QuantizedModel) -> None:
    bounds = floats.layers["blocks.0.mlp.fc1"].bounds
    fmt = pq.E4M3
    assert bounds["datatype"] == pq.bounds.datatype(fmt, fmt, 32)
    assert bounds["weight_aware"].bits <= bounds["datatype"].bits
    bounds = floats.layers["blocks.0.attn.matmul_pv"].bounds
    assert bounds.keys() == {"datatype"}
    assert bounds["datatype"] == pq.bounds.datatype(pq.Log2(5, root=2), fmt, 17)


def test_a_checkpoint_has_them(
    floats: ptq.QuantizedModel, model: nn.Module, images: torch.Tensor, tmp_path: Path
) -> None:
    floats.save(tmp_path / "m.safetensors")
    read = ptq.load(tmp_path / "m.safetensors", model)
    assert torch.equal(read(images), floats(images))
    for name, op in floats.layers.items():
        assert read.layers[name].formats == op.formats


def test_scales_are_searched_by_the_objective_of_the_method(model: nn.Module, images: torch.Tensor) -> None:
    found = made(model, images, formats={"activation": "e2m1", "weight": "e2m1"}, n=20)
    covering = made(model, images, formats={"activation": "e2m1", "weight": "e2m1"}, alpha=0.95, beta=1.0, n=1)
    scores = [[q.layers[n].report["score"] for n in q.layers if n.endswith(("fc1", "qkv"))] for q in (found, covering)]
    assert all(a < b for a, b in zip(*scores, strict=True))


@pytest.mark.parametrize("method", ["percentile", "base_ptq", "liu2021", "easyquant"])
def test_methods(model: nn.Module, images: torch.Tensor, method: str) -> None:
    few: dict[str, Any] = {} if method == "percentile" else {"n": 4}
    q = ptq.calibrate(
        model, images, method=method, w_bits=6, a_bits=6, formats={"gelu": "e3m2", "softmax": "twin"}, **few
    )
    kinds = {op.a_kind: type(op.formats.a[0]) for op in q.layers.values() if op.formats is not None}
    assert kinds == {"uniform": pq.Uniform, "softmax": pq.TwinSoftmax, "gelu": pq.Minifloat}


def test_formats_that_are_computed_by_numpy_alone_on_any_device() -> None:
    x = torch.rand(2, 3, 5)
    for formats in ([pq.E4M3, pq.E2M1], [pq.Log2(4, root=2)]):
        assert torch.equal(by_torch(x, formats), fake_quantize(x, formats))


def test_reconstruction_learns_around_them(model: nn.Module, images: torch.Tensor) -> None:
    few: dict[str, Any] = {"iterations": 3, "batch": 4, "method": "reconstruct"}
    with pytest.warns(UserWarning, match="weights to be rounded"):
        q = made(model, images, formats={"softmax": "log_sqrt2", "gelu": "e3m2"}, **few)
    assert isinstance(q.layers["blocks.0.mlp.fc2"].formats.a[0], pq.Minifloat)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"method 'reconstruct' learns codes of uniform ones; legal"):
        made(model, images, formats={"weight": "e4m3"}, **few)


@pytest.mark.parametrize(
    ("formats", "error", "words"),
    [
        ({"gelu": "e4m4"}, ValueError, "unknown format 'e4m4'.*e4m3"),
        ({"gellu": "e4m3"}, ValueError, "unknown kind of operand 'gellu'.*gelu"),
        ({"gelu": "log2"}, ValueError, "format 'log2' was given for operands of kind 'gelu'; legal are uniform, asymm"),
        ({"weight": "asymmetric"}, ValueError, "legal are uniform, e4m3"),
        ("e4m3", ArgumentTypeError, "legal is a mapping from kinds of operands to names"),
    ],
)
def test_wrong_names(model: nn.Module, images: torch.Tensor, formats: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        made(model, images, formats=formats)


def test_what_no_datapath_takes(model: nn.Module, images: torch.Tensor) -> None:
    for name, most in (("log2", 5), ("log_sqrt2", 6), ("log_root4", 7)):
        with pytest.raises(
            ValueError, match=f"{name!r} .* at 8 bits, .*; legal is up to {most} bits: try a_bits={most}"
        ):
            made(model, images, formats={"softmax": name}, a_bits=8)
        assert made(model, images, formats={"softmax": name}, a_bits=most, n=2).info["a_bits"] == most


def test_what_excludes_each_other(model: nn.Module, images: torch.Tensor) -> None:
    weight = {"weight": "e4m3"}
    for options, words in (
        (
            {"fit_accumulator": pq.Accumulator(20)},
            "format 'e4m3' and to fit an accumulator; legal in a fit is 'uniform'",
        ),
        ({"weight_rounding": "gptq"}, "by its rounding; .* try weight_rounding='nearest'"),
        (
            {"integer_only": True},
            "kind 'weight' were to have format 'e4m3', which an integer-only .* for them: uniform;",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            made(model, images, formats=weight, **options)
    for formats in ({"activation": "e4m3"}, {"gelu": "e3m4"}, {"softmax": "log_sqrt2"}):
        with pytest.raises(ValueError, match="an integer-only network does not have; legal for them: uniform, asym"):
            made(model, images, formats=formats, integer_only=True)
    with pytest.raises(ValueError, match="'reconstruct' learns codes that would no longer fit"):
        made(model, images, method="reconstruct", fit_accumulator=pq.Accumulator(20))


@pytest.mark.parametrize(
    "formats", [{"softmax": "log2"}, {"softmax": "asymmetric", "gelu": "asymmetric"}, {"gelu": "uniform"}]
)
def test_integer_only_networks_take_the_others(own: Any, images: torch.Tensor, formats: dict[str, str]) -> None:
    own.pretrained_cfg = HALF
    q = made(own, images, formats=formats, integer_only=True)
    found = {}
    for mode in ("integer", "integer_only"):
        q.mode = mode  # type: ignore[assignment]
        found[mode] = q.logits(images)
    spread = float(found["integer"].std())
    assert float((found["integer_only"] - found["integer"]).abs().mean()) < 0.3 * spread


def test_wide_formats_of_weights(model: nn.Module, images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="weights of format 'e4m3' were to have a scale per channel"):
        made(model, images, formats={"weight": "e4m3"}, w_granularity="channel")


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.safetensors"
    arguments = ["calibrate", "--images", "4", "-O", "n=4", "-O", "rounds=1", "-o", str(path)]
    assert app.main([*arguments, "--format", "gelu=e3m4", "--format", "weight=e4m3"]) == 0
    assert "E3M4" in capsys.readouterr().out
    assert ptq.load(path, ptq.load_model("vit_digits")).info["formats"] == {"gelu": "e3m4", "weight": "e4m3"}
    for wrong, words in ((["gelu"], "legal is KIND=NAME"), (["gelu=e3m4", "--format", "gelu=twin"], "gelu twice")):
        assert app.main([*arguments, "--format", *wrong]) == 2
        assert words in capsys.readouterr().err
