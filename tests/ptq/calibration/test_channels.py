"""Networks calibrated with a scale per output channel: modes, files, checks, exports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import ptqsim as pq
from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.ptq.calibration.layer import calibrate_layer
from ptqsim.ptq.calibration.methods import make_method
from ptqsim.ptq.calibration.operand_rules import Granularity, OperandRules
from ptqsim.ptq.calibration.rounding.bit_split import bit_split, reconstruction
from ptqsim.ptq.network.convolutions.operation import ConvOperation
from ptqsim.ptq.network.products.operations import OperandFormats, WeightOperation
from ptqsim.ptq.search.capture import OperationData

METHODS = ["percentile", "easyquant", "base_ptq", "bit_split", "liu2021", "ptq4vit"]


@pytest.fixture(scope="module")
def channels(model: nn.Module, images: torch.Tensor) -> ptq.QuantizedModel:
    return ptq.calibrate(model, images, w_bits=4, a_bits=6, n=12, w_granularity="channel")


def weights(quantized: ptq.QuantizedModel) -> dict[str, WeightOperation]:
    return {name: op for name, op in quantized.layers.items() if isinstance(op, WeightOperation)}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_a_scale_per_channel(model: nn.Module, images: torch.Tensor, method: str) -> None:
    options = {} if method == "percentile" else {"n": 8}
    q = ptq.calibrate(model, images, method=method, w_bits=4, a_bits=8, w_granularity="channel", **options)
    assert q.info["w_granularity"] == "channel"
    for name, op in q.layers.items():
        assert op.formats is not None
        assert all(fmt.axis is None for fmt in op.formats.a)
        if name not in weights(q):
            assert all(fmt.axis is None for fmt in op.formats.b)
            continue
        shape = op.constant_b.shape  # type: ignore[union-attr]
        assert [(fmt.axis, fmt.scale.shape) for fmt in op.formats.b] == [(-1, (shape[2],))] * shape[0]
    q.mode = "fake_quant"
    faked = q(images)
    q.mode = "integer"
    torch.testing.assert_close(q(images), faked, rtol=1e-3, atol=1e-3)


def test_percentile_covers_every_column(model: nn.Module, images: torch.Tensor) -> None:
    q = ptq.calibrate(model, images, method="percentile", w_bits=4, a_bits=8, w_granularity="channel")
    for op in weights(q).values():
        assert op.formats is not None
        for group, fmt in zip(op.constant_b, op.formats.b, strict=True):
            expected = (group.abs().amax(dim=0) / 8).numpy()
            np.testing.assert_array_equal(np.float32(fmt.scale), expected)


def test_integers_and_fake_quantization_agree_in_every_layer(
    channels: ptq.QuantizedModel, images: torch.Tensor
) -> None:
    for op in weights(channels).values():
        assert op.formats is not None
        codes, b = op.weight_codes, op.constant_b
        decoded = torch.stack([torch.from_numpy(c.dequantize()) for c in codes]).float()
        faked = torch.stack(
            [torch.from_numpy(f.fake_quantize(g.numpy())) for f, g in zip(op.formats.b, b, strict=True)]
        )
        assert torch.equal(decoded, faked)
        x = torch.randn(1, 5, b.shape[1])
        op.mode = ptq.Mode.INTEGER
        integers = op.product(x, b)
        op.mode = ptq.Mode.FAKE_QUANT
        torch.testing.assert_close(integers, op.product(x, b), rtol=1e-5, atol=1e-5)
    checks = ptq.verify(channels, images, outputs=60)
    assert {check.mismatches for check in checks.values()} == {0}


def test_a_file_gives_the_same_bits(
    channels: ptq.QuantizedModel, model: nn.Module, images: torch.Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "m.safetensors"
    channels.save(path)
    again = ptq.load(path, model)
    for name, op in channels.layers.items():
        assert again.layers[name].formats == op.formats
    for mode in ("fake_quant", "integer"):
        channels.mode = again.mode = mode
        assert torch.equal(channels(images), again(images))
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["ptqsim"])
        assert header["version"] == 5
        assert header["layers"]["head"]["b"][0]["scale"] == "scale/head/b/0"
        scales = file.get_tensor("scale/head/b/0")
    assert scales.dtype == torch.float64
    head = channels.layers["head"].formats
    assert head is not None
    assert scales.tolist() == head.b[0].scale.tolist()
    again.save(tmp_path / "again.safetensors")
    reread = (tmp_path / "again.safetensors").read_bytes()
    assert len(reread) >= path.stat().st_size


def test_files_without_channels_are_as_they_were(quantized: ptq.QuantizedModel, tmp_path: Path) -> None:
    from safetensors import safe_open

    quantized.save(tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", "pt") as file:
        header = json.loads(file.metadata()["ptqsim"])
        keys = list(file.keys())
    assert header["version"] == 4
    assert "w_granularity" not in header["info"]
    assert not [key for key in keys if key.startswith("scale/")]
    assert set(header["layers"]["head"]["b"][0]) == {"kind", "bits", "scale", "rounding"}


def test_an_interrupted_calibration_goes_on(model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    def run(progress: Callable[[int, int, str], None], granularity: str = "channel") -> ptq.QuantizedModel:
        return ptq.calibrate(
            model, images, method="base_ptq", w_bits=4, a_bits=8, n=4, state=tmp_path, progress=progress,
            w_granularity=granularity,
        )  # fmt: skip

    whole = run(lambda *_: None)
    kept = len(list(tmp_path.iterdir()))
    again = run(lambda *_: None)
    assert len(list(tmp_path.iterdir())) == kept == len(whole.layers)
    assert all(again.layers[name].formats == op.formats for name, op in whole.layers.items())
    run(lambda *_: None, "tensor")  # is not taken for the same
    assert len(list(tmp_path.iterdir())) == 2 * kept


@pytest.mark.parametrize(("groups", "per_group"), [(1, 6), (3, 2), (6, 1), (3, 4)])
def test_convolutions(groups: int, per_group: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(6, groups * per_group, 3, groups=groups, padding=1)
    with torch.no_grad():
        conv.weight *= torch.logspace(-2, 0, len(conv.weight))[:, None, None, None]
    op, x = ConvOperation("conv", conv), torch.randn(2, 6, 5, 5)
    seen: list[OperationData] = []
    op.observer = lambda op, a, b, out: seen.append(OperationData(a, b, out, torch.ones_like(out), 2))
    op(x)
    op.observer = None
    found = calibrate_layer(op, seen[0], make_method("ptq4vit", {"n": 20}), 4, 8, OperandRules(Granularity.CHANNEL))
    found.apply(op)
    assert len(found.formats.b) == groups
    scales = np.concatenate([np.atleast_1d(fmt.scale) for fmt in found.formats.b])
    assert scales.shape == (groups * per_group,)
    # The multiples of each kernel's own maximum are all in the search space (0, 1.2].
    tops = conv.weight.detach().flatten(1).abs().amax(dim=1).numpy() / 8
    assert ((scales / tops > 0.3) & (scales / tops <= 1.2001)).all()
    op.mode = ptq.Mode.FAKE_QUANT
    faked = op(x)
    op.mode = ptq.Mode.INTEGER
    torch.testing.assert_close(op(x), faked, rtol=1e-4, atol=1e-5)
    exact = F.conv2d(x, conv.weight, conv.bias, padding=1, groups=groups)
    per_kernel = ((faked - exact).square().mean(dim=(0, 2, 3)) / exact.var(dim=(0, 2, 3))).max()
    assert per_kernel < 0.02  # one scale for kernels of 0.01 to 1 would lose the small ones: about 1


def test_bit_splitting_with_equal_scales_is_that_of_one() -> None:
    torch.manual_seed(0)
    a, w = torch.randn(40, 6), torch.randn(6, 1)
    problem = reconstruction(a, a @ w, w, 1.0)
    codes = (w / 0.3).round().clamp(-8, 7).double()
    expected, scale = bit_split(problem, codes, 0.3, 4, 5)
    found, scales = bit_split(problem, codes, np.array([0.3]), 4, 5)
    assert torch.equal(found, expected)
    assert scales.tolist() == [scale]  # type: ignore[union-attr]


def test_bit_splitting_makes_every_column_better() -> None:
    torch.manual_seed(0)
    a, w = torch.randn(60, 8), torch.randn(8, 5) * torch.logspace(-1, 1, 5)
    problem = reconstruction(a, a @ w, w, 0.01)
    scale = (w.abs().amax(dim=0) / 7).double().numpy()
    codes = (w.double() / torch.from_numpy(scale)).round().clamp(-7, 7)
    found, scales = bit_split(problem, codes, scale, 4, 10)

    def losses(q: torch.Tensor, s: Any) -> torch.Tensor:
        reals = q * torch.from_numpy(np.asarray(s))
        return (reals * (problem.gram @ reals)).sum(dim=0) - 2 * (reals * problem.target).sum(dim=0)

    assert (losses(found, scales) <= losses(codes, scale)).all()
    assert (losses(found, scales) < losses(codes, scale)).sum() >= 3


def test_formats_by_torch_are_those_of_the_simulator() -> None:
    from ptqsim.ptq.network.products.fake_quant import by_torch, decode_codes, fake_quantize

    torch.manual_seed(0)
    for scales in (np.float32([0.1, 0.2, 0.5]).astype(float), np.array([0.1, 0.2, 0.5])):  # exact in float32, and not
        formats = [pq.Uniform(4, scales, axis=-1), pq.Uniform(4, scales[::-1], axis=-1)]
        x = torch.randn(2, 5, 3)
        expected = torch.stack([torch.from_numpy(f.fake_quantize(g.numpy())) for f, g in zip(formats, x, strict=True)])
        codes = [pq.quantize(g.numpy(), f) for f, g in zip(formats, x, strict=True)]
        for found in (by_torch(x, formats), fake_quantize(x, formats), decode_codes(codes, x)):
            assert torch.equal(found, expected)


def test_onnx_has_a_scale_per_column(channels: ptq.QuantizedModel, images: torch.Tensor, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import numpy_helper

    path = tmp_path / "m.onnx"
    report = ptq.export_onnx(channels, path)
    constants = {c.name: numpy_helper.to_array(c) for c in onnx.load(path).graph.initializer}
    for name, op in weights(channels).items():
        assert op.formats is not None
        expected = np.concatenate([fmt.scale for fmt in op.formats.b])
        np.testing.assert_array_equal(constants[f"{name}/B/scale"], np.float32(expected))
        assert report.layers[name].b.scales == len(expected)
    check = ptq.check_onnx(channels, path, images)
    assert check.passed
    assert sum(layer.mismatches for layer in check.layers.values()) == 0


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.safetensors"
    arguments = ["calibrate", "--method", "percentile", "--w-bits", "4", "--images", "2", "-o", str(path)]
    assert app.main([*arguments, "--w-granularity", "channel", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["info"]["w_granularity"] == "channel"
    assert len(result["layers"]["head"]["b"][0]["scale"]) == 100
    assert app.main([*arguments, "--w-granularity", "row"]) == 2
    assert "unknown w_granularity 'row'; legal are 'tensor', 'channel'" in capsys.readouterr().err


def test_formats_of_another_length_are_refused(channels: ptq.QuantizedModel, own: nn.Module) -> None:
    q = ptq.QuantizedModel(own)
    head = q.layers["head"]
    head.formats = OperandFormats((pq.Uniform(8, 0.1),), (pq.Uniform(8, np.ones(9), axis=-1),))
    with pytest.raises(ValueError, match=r"do not fit 9 scales along axis -1"):
        head.weight_codes  # noqa: B018
