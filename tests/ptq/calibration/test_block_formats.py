"""Calibration with block formats that were named, alone and beside plain ones."""

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
from ptqsim.cli.framework import app
from ptqsim.errors import ArgumentTypeError
from ptqsim.ptq.evaluation.summary import format_facts, weight_bits
from ptqsim.ptq.network.products.blocked import Blocked, plain_codes, plain_formats
from ptqsim.ptq.network.products.fake_quant import by_torch, fake_quantize

ALL = dict.fromkeys(("softmax", "gelu", "activation"), "mxint8") | {"weight": "mxfp4"}
BESIDE = {"softmax": "twin", "gelu": "e3m4", "activation": "mxint8", "weight": "uniform"}
FIXED = pq.FixedPoint(14, -8, "saturate", "half_even")


def made(model: nn.Module, images: torch.Tensor, **more: Any) -> ptq.QuantizedModel:
    return ptq.calibrate(model, images, **{"w_bits": 6, "a_bits": 6, "n": 4, "rounds": 1, **more})


@pytest.fixture(scope="module", params=[ALL, BESIDE], ids=["blocks", "beside"])
def blocks(request: pytest.FixtureRequest, model: nn.Module, images: torch.Tensor) -> ptq.QuantizedModel:
    return made(model, images, formats=request.param)


def test_blocks_lie_along_the_depth_of_both_operands(model: nn.Module, images: torch.Tensor) -> None:
    q = made(model, images, formats=ALL)
    assert q.info["formats"] == ALL
    for name, op in q.layers.items():
        assert op.formats is not None
        b = pq.MXFP4 if op.constant_b is not None else pq.MXINT8
        assert set(op.formats.a) == {Blocked(pq.MXINT8, "a")}, name
        assert set(op.formats.b) == {Blocked(b, "b")}, name
        if op.weight_codes is not None and op.constant_b is not None:
            for codes, weight in zip(op.weight_codes, op.constant_b, strict=True):
                expected = pq.quantize_blocks(weight.numpy(), pq.MXFP4, axis=-2)
                assert np.array_equal(codes.dequantize(), expected.dequantize())
    facts = format_facts(q.layers["blocks.0.mlp.fc1"])
    assert facts["a_format"] == "block"
    assert facts["shift_min"] is None
    stored = sum(8 * len(one.pack()) for op in q.layers.values() for one in op.weight_codes or ())
    assert weight_bits(q) == stored


@pytest.mark.parametrize("register", [pq.Float32(), FIXED, pq.AlignedFloat32(12, 2)], ids=str)
def test_integer_mode_is_that_of_the_reference(
    blocks: ptq.QuantizedModel, images: torch.Tensor, register: pq.FixedPoint | pq.Float32 | pq.AlignedFloat32
) -> None:
    blocks.register = register
    blocks.accumulator = pq.Accumulator(48)
    checks = ptq.verify(blocks, images, outputs=40)
    assert checks.keys() == blocks.layers.keys()
    assert all(check.mismatches == 0 and check.outputs >= 40 for check in checks.values())


def test_a_wrong_kernel_would_be_found(blocks: ptq.QuantizedModel, images: torch.Tensor) -> None:
    """The register of verification is another than that of the run."""
    op = blocks.layers["blocks.0.attn.qkv"]
    blocks.register = pq.Float32()
    run = op.integer._product
    op.integer._product = lambda a, b: pq.matmul(a, b, FIXED)  # type: ignore[method-assign, call-overload]
    try:
        checks = ptq.verify(blocks, images, outputs=40)
    finally:
        op.integer._product = run  # type: ignore[method-assign]
    assert checks["blocks.0.attn.qkv"].mismatches > 20
    assert "instead of" in checks["blocks.0.attn.qkv"].first


def test_products_equal_those_of_fake_quantization(blocks: ptq.QuantizedModel, images: torch.Tensor) -> None:
    blocks.register, blocks.accumulator = pq.Float32(), pq.Accumulator(48)
    for name, op in blocks.layers.items():
        seen: list[tuple[torch.Tensor, torch.Tensor]] = []
        op.mode, op.observer = ptq.Mode.FLOAT, lambda _, a, b, out, seen=seen: seen.append((a, b))
        blocks(images)
        op.observer = None
        found = {}
        for mode in ("fake_quant", "integer"):
            op.mode = ptq.Mode(mode)
            found[mode] = op.product(*seen[0])
        op.mode = ptq.Mode.FAKE_QUANT
        scale = float(found["integer"].abs().max())
        assert float((found["integer"] - found["fake_quant"]).abs().max()) < 1e-5 * scale, name


def test_bounds_and_counts_are_those_of_fixed_point(blocks: ptq.QuantizedModel, images: torch.Tensor) -> None:
    blocks.register, blocks.accumulator = pq.Float32(), pq.Accumulator(48)
    op = blocks.layers["blocks.0.mlp.fc1"]
    assert op.has_blocks
    assert op.bounds == {}
    register = pq.FixedPoint(63, -20)
    blocks.register, blocks.statistics, blocks.mode = register, True, "integer"  # type: ignore[assignment]
    blocks(images)
    blocks.statistics, blocks.mode = False, "fake_quant"  # type: ignore[assignment]
    bounds = op.bounds
    assert op.formats is not None
    (weight,) = op.formats.b
    if isinstance(weight, Blocked):
        expected = pq.block_bounds.datatype(pq.MXINT8, pq.MXFP4, 32, register)
        assert bounds["datatype"] == expected
    assert bounds["calibrated"].bits <= bounds["weight_aware"].bits <= bounds["datatype"].bits
    for other in blocks.layers.values():
        other.integer.overflow = type(other.integer.overflow)()


def test_a_checkpoint_has_them(
    blocks: ptq.QuantizedModel, model: nn.Module, images: torch.Tensor, tmp_path: Path
) -> None:
    blocks.save(tmp_path / "m.safetensors")
    read = ptq.load(tmp_path / "m.safetensors", model)
    assert torch.equal(read(images), blocks(images))
    for name, op in blocks.layers.items():
        assert read.layers[name].formats == op.formats


def test_an_interrupted_calibration_goes_on(model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    first = made(model, images, formats=ALL, state=tmp_path)
    again = made(model, images, formats=ALL, state=tmp_path)
    assert torch.equal(first(images), again(images))


def test_the_tensor_scale_of_nvfp4_is_searched_or_covers(model: nn.Module, images: torch.Tensor) -> None:
    formats = dict.fromkeys(("softmax", "gelu", "activation", "weight"), "nvfp4")
    found = made(model, images, formats=formats, n=6, alpha=0.4, beta=1.0)
    covering = made(model, images, formats=formats, n=1, alpha=0.5, beta=1.0)
    for name in ("blocks.0.mlp.fc1", "blocks.0.attn.qkv"):
        scores = [q.layers[name].report["score"] for q in (found, covering)]
        assert scores[0] <= scores[1], name  # type: ignore[operator]
        op = covering.layers[name]
        assert op.formats is not None
        for fmt, weight in zip(op.formats.b, op.constant_b, strict=True):  # type: ignore[arg-type]
            assert isinstance(fmt, Blocked)
            assert fmt.format == pq.NVFP4.covering(weight.numpy())
    assert any(a.formats != covering.layers[name].formats for name, a in found.layers.items())
    assert "tensor scale" in ptq.describe(found.layers["blocks.0.attn.qkv"].formats.b)  # type: ignore[union-attr]


@pytest.mark.parametrize("method", ["percentile", "base_ptq", "easyquant", "reconstruct"])
def test_methods(model: nn.Module, images: torch.Tensor, method: str) -> None:
    few: dict[str, Any] = {"percentile": {}, "reconstruct": {"iterations": 3, "batch": 4, "n": 2, "rounds": 1}}.get(
        method, {"n": 2}
    )
    formats = {"softmax": "mxfp8", "activation": "mxfp6", "gelu": "mxfp6_e3m2"}
    if method == "reconstruct":
        with pytest.warns(UserWarning, match="weights to be rounded"):
            q = ptq.calibrate(model, images, method=method, w_bits=6, a_bits=6, formats=formats, **few)
    else:
        q = ptq.calibrate(
            model, images, method=method, w_bits=6, a_bits=6, formats=formats | {"weight": "mxfp4"}, **few
        )
    assert all(op.has_blocks for op in q.layers.values())
    assert bool(torch.isfinite(q(images)).all())


def test_numpy_computes_them_on_any_device() -> None:
    x = torch.randn(2, 3, 40)
    for formats in ([Blocked(pq.MXFP4, "a")], [Blocked(pq.NVFP4.covering(x[g].numpy()), "a") for g in range(2)]):
        expected = fake_quantize(x, formats)
        assert torch.equal(by_torch(x, list(formats) * (2 // len(formats))), expected)
        assert np.array_equal(expected[1].numpy(), formats[-1].encode(x[1].numpy()).dequantize().astype(np.float32))
    with pytest.raises(ValueError, match=r"beyond 3\.4e"):  # the scale of 1.07 is rounded to 1.125
        Blocked(replace(pq.NVFP4, tensor_scale=5.296e37), "a").fake_quantize(np.full((1, 16), 3.4e38, np.float32))


def test_what_excludes_each_other(model: nn.Module, images: torch.Tensor) -> None:
    for formats, options, words in (
        ({"softmax": "nvfp4", "activation": "mxfp4"}, {}, "blocks of 16 values and 'mxfp4' .* of 32, .*legal are bl"),
        ({"activation": "mxint8"}, {"w_granularity": "channel"}, "blocks are not multiplied by; legal is w_granula"),
        ({"softmax": "mxint8"}, {"fit_accumulator": pq.Accumulator(20)}, "are summed; leave fit_accumulator"),
        ({"gelu": "mxfp6"}, {"integer_only": True}, "an integer-only network does not have"),
        ({"gelu": "mxfp3"}, {}, "unknown format 'mxfp3'.*mxfp4"),
        ({"weight": "mxfp4"}, {"weight_rounding": "gptq"}, "by its rounding; .* try weight_rounding='nearest'"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            made(model, images, formats=formats, **options)


def test_registers_by_layer(blocks: ptq.QuantizedModel) -> None:
    blocks.register = pq.Float32()
    assert blocks.register == pq.Float32()
    blocks.register = {"head": FIXED}
    assert blocks.register["head"] == FIXED  # type: ignore[index]
    assert blocks.layers["blocks.0.mlp.fc1"].integer.register == pq.Float32()
    with pytest.raises(ArgumentTypeError, match=r"legal is a ptqsim.FixedPoint, Float32 or AlignedFloat32"):
        blocks.register = pq.Accumulator(32)  # type: ignore[assignment]
    with pytest.raises(ValueError, match="unknown layer 'haed'"):
        blocks.register = {"haed": FIXED}
    blocks.register = pq.Float32()


def test_what_takes_plain_codes_only(blocks: ptq.QuantizedModel) -> None:
    fmt = Blocked(pq.MXFP4, "b")
    with pytest.raises(ValueError, match=r"Block.element=E2M1.* is a block format; legal here are plain ones"):
        plain_formats([pq.E4M3, fmt])
    with pytest.raises(ValueError, match="codes of blocks were given"):
        plain_codes([fmt.encode(np.ones((32, 2)))])
    with pytest.raises(ValueError, match="legal are 'a' and 'b'"):
        Blocked.from_dict({**fmt.to_dict(), "side": "c"})
    assert Blocked.from_dict(fmt.to_dict()) == fmt


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "m.safetensors")
    formats = [part for kind, name in ALL.items() for part in ("--format", f"{kind}={name}")]
    assert app.main(["calibrate", "--images", "2", "-O", "n=2", "-O", "rounds=1", *formats, "-o", path]) == 0
    assert "E2M1 in blocks of 32" in capsys.readouterr().out
    few = ["--outputs", "10", "--images", "4"]
    assert app.main(["verify", path, *few, "--register", "fixed:20:-12:saturate"]) == 0
    assert "0 differ" in capsys.readouterr().err
    assert app.main(["simulate", path, "--limit", "2", "--register", "fixed:12:-6:saturate"]) == 0
    shown = capsys.readouterr()
    assert "fixed:12:-6" in shown.out
    assert "summed in float32" in shown.err
    assert app.main(["bounds", path, "--images", "1"]) == 0
    assert "--weight -16" in capsys.readouterr().err
    assert app.main(["bounds", path, "--images", "1", "--weight", "-16", "--json"]) == 0
    assert '"weight_aware"' in capsys.readouterr().out
    for arguments, words in (
        (["simulate", path, "--register", "fixed:12"], "register 'fixed:12' can't be read"),
        (["simulate", path, "--layer", "head=20"], "whose register --register describes"),
        (["simulate", path, "--profile", "AVX2_U8S8"], "is a block format"),
        (["bounds", path, "--a-scale", "1"], "leave --a-scale and --b-scale out"),
        (["rtl", "simulate", path, "--layer", "head"], "legal is a layer without blocks"),
        (["export", path, "--c", str(tmp_path / "c")], f"{path} has no integer-only network: calibrate it with ptqsim"),
        (
            ["export", path, "--onnx", str(tmp_path / "o"), "--mode", "integer_only"],
            "formats that are not of blocks",
        ),
        (["evaluate", path, "--mode", "integer_only"], "calibrate --integer-only, in formats"),
        (["simulate", path, "--mode", "integer_only"], "calibrate --integer-only, in formats"),
    ):
        assert app.main(arguments) == 2, arguments
        assert words in capsys.readouterr().err.replace("\n", " ")
    _vectors_of_a_layer(path, tmp_path, capsys)


def _vectors_of_a_layer(path: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Codes that the layer met, on the register asked for; what belongs to plain products is refused."""
    layer = ["vectors", path, "--layer", "blocks.0.mlp.fc1", "--rows", "3", "--cols", "2"]
    for name, register in (("default", []), ("fixed", ["--register", "fixed:20:-12:saturate"])):
        assert app.main([*layer, *register, "-o", str(folder / name)]) == 0
        assert app.main(["vectors", "--check", str(folder / name)]) == 0
        made = json.loads((folder / name / "manifest.json").read_text())
        assert made["source"]["layer"] == "blocks.0.mlp.fc1"
        assert made["register"]["kind"] == ("float32" if name == "default" else "fixed")
        capsys.readouterr()
    quantized = ptq.load(path, ptq.load_model("vit_digits"))
    codes = quantized.layers["blocks.0.mlp.fc1"].weight_codes
    assert codes is not None
    words = (folder / "default" / "b.hex").read_text().split("\n")
    stored = [int(word, 16) for word in words if word and not word.startswith("//")]
    assert stored == codes[0].codes[:2].reshape(-1).tolist()
    for arguments, said in (
        ([*layer, "--bits", "20"], "products of blocks have no --bits"),
        ([*layer, "--profile", "VNNI_U8S8", "--trace", "0,0"], "have no --profile, --trace: leave them out"),
        (["vectors", path, "--layer", "blocks.0.attn.matmul_qk", "--images", "2"], "try --images 1"),
        (["vectors", "--a-format", "mxfp4", "--depth", "8", "--overflow", "saturate"], "have no --overflow"),
    ):
        assert app.main([*arguments, "-o", str(folder / "never")]) == 2, arguments
        assert said in capsys.readouterr().err.replace("\n", " ")
    assert not (folder / "never").exists()
