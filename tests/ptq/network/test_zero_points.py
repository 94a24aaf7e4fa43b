"""Networks whose operands are unsigned and have zero points: every mode, both datapaths, files and ONNX."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from ptqsim.ptq.network.products.fake_quant import Format
from ptqsim.ptq.network.products.operations import OperandFormats


def asymmetric(formats: Sequence[Format], signed: bool, zero_point: int) -> tuple[Format, ...]:
    """The same scales, with codes that reach as far to one side as to the other; each group has its own zero point."""
    return tuple(
        pq.Uniform(fmt.bits + 1, fmt.scale, signed=signed, zero_point=zero_point + g)
        if isinstance(fmt, pq.Uniform)
        else fmt
        for g, fmt in enumerate(formats)
    )


@pytest.fixture(scope="module")
def q(quantized: ptq.QuantizedModel) -> ptq.QuantizedModel:
    """W7A7: unsigned on the left with zero points around 60, signed on the right with zero points around -3."""
    made = copy.deepcopy(quantized)
    for op in made.layers.values():
        assert op.formats is not None
        op.formats = OperandFormats(asymmetric(op.formats.a, False, 60), asymmetric(op.formats.b, True, -3))
    return made


def test_integers_are_close_to_fake_quantization(q: ptq.QuantizedModel, images: torch.Tensor) -> None:
    q.mode = "fake_quant"
    fake = q(images)
    q.mode, q.accumulator = "integer", pq.Accumulator(32)
    torch.testing.assert_close(q(images), fake, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("place", ["operand", "correction"])
def test_every_layer_is_verified_in_both_datapaths(q: ptq.QuantizedModel, images: torch.Tensor, place: str) -> None:
    q.mode = "integer"
    q.accumulator = pq.Accumulator(32)
    exact = q(images)
    q.accumulator = pq.Accumulator(32, "saturate", "tree:8", zero_point=place)
    assert torch.equal(q(images), exact)
    q.accumulator = pq.Accumulator(12, "saturate", "split:8:13", zero_point=place)
    assert not torch.equal(q(images), exact)
    checks = ptq.verify(q, images, outputs=40, batch=4)
    assert all(check.mismatches == 0 for check in checks.values())
    for op in q.layers.values():
        bounds = op.bounds
        assert {"datatype"} <= bounds.keys()


def test_saved_and_loaded(q: ptq.QuantizedModel, images: torch.Tensor, model: nn.Module, tmp_path: Path) -> None:
    q.mode, q.accumulator = "integer", pq.Accumulator(16, zero_point="correction")
    q.save(tmp_path / "asymmetric.safetensors")
    loaded = ptq.load(tmp_path / "asymmetric.safetensors", model)
    loaded.mode, loaded.accumulator = q.mode, q.accumulator
    assert torch.equal(loaded(images), q(images))
    for name, op in q.layers.items():
        assert loaded.layers[name].formats == op.formats


def test_the_bounds_of_a_layer_hold(q: ptq.QuantizedModel, images: torch.Tensor) -> None:
    q.mode, q.statistics = "integer", True
    q.accumulator = pq.Accumulator(40, zero_point="correction")
    q(images[:2])
    q.statistics = False
    for op in q.layers.values():
        bounds = op.bounds
        seen = bounds["calibrated"]
        for name, bound in bounds.items():
            assert bound.lowest <= seen.lowest, (op.name, name)
            assert seen.highest <= bound.highest, (op.name, name)


def test_exported_to_onnx(q: ptq.QuantizedModel, images: torch.Tensor, tmp_path: Path) -> None:
    """The zero points are in the file, and ONNX Runtime computes what fake-quant mode does."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    ptq.export_onnx(q, tmp_path / "asymmetric.onnx")
    constants = {
        c.name: onnx.numpy_helper.to_array(c) for c in onnx.load(tmp_path / "asymmetric.onnx").graph.initializer
    }
    for name, op in q.layers.items():
        assert op.formats is not None
        if isinstance(op.formats.a[0], pq.Uniform):
            zeros = constants[f"{name}/A/zero_point"].astype(int).reshape(-1).tolist()
            less = 0 if len(zeros) == 1 else 64  # of several groups they are written as signed integers
            assert zeros == [fmt.zero_point - less for fmt in op.formats.a]
        assert set(constants[f"{name}/B/zero_point"].astype(int).reshape(-1)) == {f.zero_point for f in op.formats.b}
    checked = ptq.check_onnx(q, tmp_path / "asymmetric.onnx", images)
    assert all(layer.same_input < 1e-4 for layer in checked.layers.values())
