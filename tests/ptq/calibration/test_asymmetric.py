"""Networks calibrated with zero points: formats of every method, modes, files, checks, exports, wrong input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.ptq.calibration.layer import calibrate_layer
from ptqsim.ptq.calibration.methods import make_method
from ptqsim.ptq.calibration.operand_rules import Granularity, OperandRules
from ptqsim.ptq.network.convolutions.operation import ConvOperation
from ptqsim.ptq.network.products.operations import OperandFormats, WeightOperation
from ptqsim.ptq.search.capture import OperationData

METHODS = ["percentile", "easyquant", "base_ptq", "bit_split", "liu2021", "ptq4vit", "reconstruct"]
TWINS = (pq.TwinSoftmax, pq.TwinGELU)


@pytest.fixture(scope="module")
def q(model: nn.Module, images: torch.Tensor) -> ptq.QuantizedModel:
    options = {"softmax_twin": False, "gelu_twin": False}
    return ptq.calibrate(model, images, w_bits=4, a_bits=5, n=8, w_granularity="channel", a_symmetric=False, **options)


def formats_of(op: Any) -> OperandFormats:
    assert isinstance(op.formats, OperandFormats)
    return op.formats


@pytest.mark.filterwarnings("ignore:.*more weights to be rounded than the images:UserWarning")
@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_zero_points(model: nn.Module, images: torch.Tensor, method: str) -> None:
    options = {} if method == "percentile" else {"n": 6}
    options |= {"iterations": 2} if method == "reconstruct" else {}
    q = ptq.calibrate(model, images, method=method, w_bits=6, a_bits=6, a_symmetric=False, **options)
    assert q.info["a_symmetric"] is False
    zero_points = set()
    for name, op in q.layers.items():
        a, b = formats_of(op).a, formats_of(op).b
        if method in ("ptq4vit", "reconstruct") and op.a_kind != "uniform":
            assert all(isinstance(fmt, TWINS) for fmt in a), name
        else:
            assert all(isinstance(fmt, pq.Uniform) and not fmt.signed for fmt in a), name
        if op.a_kind == "softmax":
            assert {fmt.zero_point for fmt in a} == {0}, name
        elif op.a_kind == "uniform":
            zero_points |= {fmt.zero_point for fmt in a}
        weight = isinstance(op, WeightOperation)
        assert all(fmt.signed == weight for fmt in b), name  # type: ignore[union-attr]
        assert not (weight and any(fmt.zero_point for fmt in b)), name
    assert len(zero_points - {0}) > 3
    q.mode = "fake_quant"
    faked = q(images)
    q.mode = "integer"
    torch.testing.assert_close(q(images), faked, rtol=1e-3, atol=1e-3)


def test_percentile_leaves_out_as_much_on_either_side() -> None:
    x = torch.cat([torch.linspace(-1, 3, 1001), torch.tensor([-50.0, 90.0])]).reshape(1, 1, -1)
    op = _conv(1)
    method = make_method("percentile", {"a_percentile": 99.0})
    (fmt,) = method.a_candidates(op, x, 8, symmetric=False).typical
    values = np.sort(x.flatten().numpy())
    low, high = values[-int(np.ceil(0.995 * 1003))], values[int(np.ceil(0.995 * 1003)) - 1]
    assert fmt.scale == float(np.float32((float(high) - float(low)) / 255))
    assert fmt.zero_point == round(-float(low) / (float(high) - float(low)) * 255)  # type: ignore[union-attr]
    op.a_kind = "softmax"
    (fmt,) = method.a_candidates(op, x.abs(), 8, symmetric=False).typical
    assert fmt.zero_point == 0  # type: ignore[union-attr]
    assert fmt.scale == float(np.float32(float(np.sort(x.abs().flatten())[int(np.ceil(0.99 * 1003)) - 1]) / 255))


@pytest.mark.parametrize("place", ["operand", "correction"])
def test_both_datapaths_are_those_of_the_reference(q: ptq.QuantizedModel, images: torch.Tensor, place: str) -> None:
    """Q K^T has a zero point on either side; every output that is looked at is recomputed in Python integers."""
    products = [op for op in q.layers.values() if op.kind == "matmul_qk"]
    assert all(fmt.zero_point for op in products for fmt in (*formats_of(op).a, *formats_of(op).b))
    q.mode = "integer"
    q.accumulator = pq.Accumulator(32)
    exact = q(images[:2])
    q.accumulator = pq.Accumulator(32, zero_point=place)
    assert torch.equal(q(images[:2]), exact)
    for accumulator in (pq.Accumulator(12, zero_point=place), pq.Accumulator(10, "saturate", zero_point=place)):
        q.accumulator = accumulator
        assert not torch.equal(q(images[:2]), exact)
        checks = ptq.verify(q, images[:2], outputs=10)
        assert {check.mismatches for check in checks.values()} == {0}
    q.accumulator = pq.Accumulator(40, zero_point=place)
    q.statistics = True
    q(images[:2])
    q.statistics = False
    for op in q.layers.values():
        seen = op.bounds["calibrated"]
        for name, bound in op.bounds.items():
            assert bound.lowest <= seen.lowest <= seen.highest <= bound.highest, (op.name, name)
        assert op.bounds.keys() >= ({"row_stochastic"} if op.a_kind == "softmax" else {"datatype"})


def test_a_file_gives_the_same_bits(
    q: ptq.QuantizedModel, model: nn.Module, images: torch.Tensor, tmp_path: Path
) -> None:
    from safetensors import safe_open

    q.accumulator = pq.Accumulator(32)
    q.save(tmp_path / "m.safetensors")
    again = ptq.load(tmp_path / "m.safetensors", model)
    assert again.info["a_symmetric"] is False
    for name, op in q.layers.items():
        assert formats_of(again.layers[name]) == formats_of(op)
    for mode in ("fake_quant", "integer"):
        q.mode = again.mode = mode
        assert torch.equal(q(images), again(images))
    with safe_open(tmp_path / "m.safetensors", "pt") as file:
        assert json.loads(file.metadata()["ptqsim"])["version"] == 5


def test_zero_points_alone_make_a_file_of_version_5(q: ptq.QuantizedModel, tmp_path: Path) -> None:
    from ptqsim.ptq.network.saving import version_of

    op = q.layers["blocks.0.attn.matmul_qk"]
    entry = {"a": [fmt.to_dict() for fmt in formats_of(op).a], "b": [pq.Uniform(4, 0.5).to_dict()]}
    assert version_of({"layer": entry}) == 5
    assert version_of({"layer": {**entry, "a": entry["b"]}}) == 4


def test_a_kept_layer_is_not_taken_for_a_symmetric_one(model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    for symmetric in (False, True, False):
        q = ptq.calibrate(model, images, method="percentile", w_bits=4, a_bits=8, a_symmetric=symmetric, state=tmp_path)
        head = formats_of(q.layers["head"]).a[0]
        assert head.signed == symmetric  # type: ignore[union-attr]
    assert len(list(tmp_path.iterdir())) == 2 * len(q.layers)


def test_a_preset_selects_with_zero_points(model: nn.Module, images: torch.Tensor) -> None:
    q = ptq.calibrate(model, images[:2], method="ptq4vit_plus", w_bits=4, a_bits=4, n=3, rounds=1, a_symmetric=False)
    assert q.info["selection"][0]["kept"]
    assert not formats_of(q.layers["blocks.0.attn.qkv"]).a[0].signed  # type: ignore[union-attr]


def _conv(groups: int) -> ConvOperation:
    torch.manual_seed(0)
    return ConvOperation("conv", nn.Conv2d(6, 12, 3, groups=groups, padding=1))


@pytest.mark.parametrize("groups", [1, 3, 6])
@pytest.mark.parametrize("granularity", [Granularity.TENSOR, Granularity.CHANNEL])
def test_convolutions(groups: int, granularity: Granularity) -> None:
    op, x = _conv(groups), torch.randn(2, 6, 5, 5) + 0.5
    seen: list[OperationData] = []
    op.observer = lambda op, a, b, out: seen.append(OperationData(a, b, out, torch.ones_like(out), 2))
    exact = op(x)
    op.observer = None
    method = make_method("ptq4vit", {"n": 12})
    calibrate_layer(op, seen[0], method, 8, 8, OperandRules(granularity, a_symmetric=False)).apply(op)
    assert all(not fmt.signed and fmt.zero_point for fmt in formats_of(op).a)  # type: ignore[union-attr]
    op.mode = ptq.Mode.FAKE_QUANT
    faked = op(x)
    op.mode = ptq.Mode.INTEGER
    torch.testing.assert_close(op(x), faked, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(faked, exact, rtol=0.05, atol=0.05)  # padding is zero in every format


def test_onnx_has_the_zero_points(q: ptq.QuantizedModel, images: torch.Tensor, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    path = tmp_path / "m.onnx"
    report = ptq.export_onnx(q, path)
    assert {layer.a.how for layer in report.layers.values()} == {"q_dq"}
    check = ptq.check_onnx(q, path, images)
    assert check.passed
    assert sum(layer.mismatches for layer in check.layers.values()) == 0


def test_wrong_input(model: nn.Module, images: torch.Tensor) -> None:
    with pytest.raises(TypeError, match="a_symmetric must be True or False, got 'no'"):
        ptq.calibrate(model, images, a_symmetric="no")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="variant 'released' takes symmetric activations only, as the released code"):
        ptq.calibrate(model, images, variant="released", a_symmetric=False)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.safetensors"
    arguments = ["calibrate", "--method", "percentile", "--images", "2", "-o", str(path), "--a-asymmetric"]
    assert app.main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["info"]["a_symmetric"] is False
    assert result["layers"]["head"]["a"][0]["signed"] is False
    assert app.main([*arguments, "--method", "ptq4vit", "--variant", "released"]) == 2
    error = capsys.readouterr().err.strip()
    assert "symmetric activations only" in error
    for extra in ([], ["--zero-point", "correction"]):
        assert app.main(["verify", str(path), "--images", "1", "--outputs", "5", *extra]) == 0
