"""The exported file: what is in it, that it computes what the calibrated model does, and that the check would tell."""

from __future__ import annotations

import copy
import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from ptqsim.ptq.network.products.operations import OperandFormats, WeightOperation
from ptqsim.ptq.onnx_export.export import METADATA
from tests.ptq.networks import timm_model


class Exported(NamedTuple):
    quantized: ptq.QuantizedModel
    report: ptq.ExportReport
    model: onnx.ModelProto

    @property
    def metadata(self) -> dict[str, Any]:
        props = {prop.key: prop.value for prop in self.model.metadata_props}
        return dict(json.loads(props[METADATA]))

    @property
    def constants(self) -> dict[str, np.ndarray]:
        return {c.name: numpy_helper.to_array(c) for c in self.model.graph.initializer}


def export(quantized: ptq.QuantizedModel, path: Path, **options: str) -> Exported:
    report = ptq.export_onnx(quantized, path, **options)
    return Exported(quantized, report, onnx.load(path))


@pytest.fixture(scope="module")
def own(quantized: ptq.QuantizedModel) -> ptq.QuantizedModel:
    """A calibrated model with a corrected bias, an 8-bit layer, a 4-bit and a 10-bit one."""
    quantized = copy.deepcopy(quantized)
    for name, bits in {"blocks.0.mlp.fc1": 4, "blocks.1.mlp.fc1": 10, "blocks.1.attn.qkv": 8}.items():
        op = quantized.layers[name]
        assert op.formats is not None
        a, b = ([pq.Uniform(bits, f.scale * 2.0 ** (6 - bits)) for f in side] for side in (op.formats.a, op.formats.b))
        op.formats = OperandFormats(tuple(a), tuple(b))
    op = quantized.layers["blocks.0.attn.proj"]
    assert isinstance(op, WeightOperation)
    assert op.bias is not None
    op.corrected_bias = op.bias + 0.125
    return quantized


@pytest.fixture(scope="module")
def exported(own: ptq.QuantizedModel, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    own.mode = "integer"
    return export(own, tmp_path_factory.mktemp("onnx") / "deep" / "m.onnx")


def test_the_model_is_left_as_it_was(exported: Exported, images: torch.Tensor) -> None:
    quantized = exported.quantized
    assert quantized.mode == "integer"
    before = quantized(images)
    ptq.check_onnx(quantized, exported.report.path, images)
    assert quantized.mode == "integer"
    assert torch.equal(quantized(images), before)
    assert not any(op._forward_hooks for op in quantized.layers.values())


def test_every_product_has_both_operands_quantized(
    exported: Exported, model: nn.Module, images: torch.Tensor, count_products: Callable[[], Any]
) -> None:
    graph = exported.model.graph
    maker = {output: node for node in graph.node for output in node.output}

    def quantized(value: str) -> bool:
        node = maker[value]
        if node.op_type == "Where":
            return all(quantized(branch) for branch in node.input[1:])
        return node.op_type == "DequantizeLinear"

    products = [node for node in graph.node if node.op_type in ("MatMul", "Conv", "Gemm", "Einsum")]
    with count_products() as counter, torch.no_grad():
        model(images[:1])
    assert len(products) == counter.count == len(exported.report.layers) == len(exported.quantized.layers)
    assert all(quantized(value) for node in products for value in node.input[:2])
    assert {node.domain for node in graph.node} == {""}


def test_scales_zero_points_and_codes_are_the_calibrated_ones(exported: Exported) -> None:
    constants = exported.constants
    zero_points = [value for name, value in constants.items() if name.endswith("/zero_point")]
    assert len(zero_points) > 2 * len(exported.quantized.layers)
    assert not any(value.astype(np.int64).any() for value in zero_points)
    for name, op in exported.quantized.layers.items():
        assert op.formats is not None
        if isinstance(op.formats.a[0], pq.Uniform):
            scales = [np.float32(f.scale) for f in op.formats.a]
            assert constants[f"{name}/A/scale"].reshape(-1).tolist() == scales
        if not isinstance(op, WeightOperation):
            assert constants[f"{name}/B/scale"].reshape(-1).tolist() == [np.float32(f.scale) for f in op.formats.b]
            continue
        stored = constants[f"{name}/B/codes"].astype(np.int64)
        if op.kind == "patch":
            stored = stored.reshape(len(stored), -1).T  # [N, C, p, q] -> [K, N]
        np.testing.assert_array_equal(stored, np.concatenate([c.aligned() for c in op.weight_codes], axis=1))
        columns = np.broadcast_to(constants[f"{name}/B/scale"], stored.shape[1]).reshape(len(op.formats.b), -1)
        for fmt, found in zip(op.formats.b, columns, strict=True):
            assert set(found.tolist()) == {np.float32(fmt.scale)}


def test_storage_of_every_width(exported: Exported) -> None:
    layers = exported.report.layers
    types = {c.name: onnx.TensorProto.DataType.Name(c.data_type) for c in exported.model.graph.initializer}
    found = {
        name: (layers[name].a.storage, layers[name].a.clip, layers[name].b.storage, types[f"{name}/B/codes"])
        for name in ("blocks.0.mlp.fc1", "blocks.0.attn.proj", "blocks.1.attn.qkv", "blocks.1.mlp.fc1")
    }
    assert found == {
        "blocks.0.mlp.fc1": ("int4", None, "int4", "INT4"),
        "blocks.0.attn.proj": ("int8", (-32, 31), "int8", "INT8"),
        "blocks.1.attn.qkv": ("int8", None, "int8", "INT8"),
        "blocks.1.mlp.fc1": ("int16", (-512, 511), "int16", "INT16"),
    }
    assert (layers["blocks.0.attn.qkv"].b.scales, layers["blocks.0.attn.matmul_qk"].a.scales) == (3, 2)


def test_the_report_and_the_metadata_name_what_onnx_cannot_say(exported: Exported) -> None:
    twins = {f"blocks.{i}.{name} A" for i in range(2) for name in ("attn.matmul_pv", "mlp.fc2")}
    named = exported.report.not_q_dq
    assert set(named) == twins
    assert "twin softmax 6 bit" in named["blocks.0.attn.matmul_pv A"]
    assert exported.report.in_float == []
    metadata = exported.metadata
    assert metadata["not_q_dq"] == named
    assert metadata["info"]["method"] == "ptq4vit"
    assert all(name in exported.model.doc_string for name in named)
    assert exported.report.bytes == exported.report.path.stat().st_size


def test_nothing_of_the_machine_is_in_the_file(exported: Exported) -> None:
    content = exported.report.path.read_bytes()
    assert b".py" not in content
    assert str(Path.cwd()).encode() not in content


def test_the_file_computes_what_fake_quant_mode_does(exported: Exported, images: torch.Tensor) -> None:
    seen: list[tuple[int, int]] = []
    check = ptq.check_onnx(
        exported.quantized, exported.report.path, images, batch=3, progress=lambda *done: seen.append(done)
    )
    assert seen == [(3, 8), (6, 8), (8, 8)]
    assert check.passed
    assert list(check.layers) == list(exported.quantized.layers)
    for name, layer in check.layers.items():
        op = exported.quantized.layers[name]
        weights = 0 if op.constant_b is None else op.constant_b.numel()
        assert layer.mismatches == 0
        assert layer.values == layer.activations + weights > 0
        assert layer.same_input < 1e-5
    assert check.logits["as written"].largest < 0.1
    assert check.logits["optimized, exact activations"].largest < 0.1


def test_the_batch_is_free(exported: Exported, images: torch.Tensor) -> None:
    one = ptq.check_onnx(exported.quantized, exported.report.path, images[:1], batch=1)
    assert one.passed
    assert one.images == 1


def test_the_file_takes_images_of_one_channel(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = timm_model("test_vit", in_chans=1, img_size=32, num_classes=4)
    images = torch.randn(2, 1, 32, 32)
    q = ptq.calibrate(network, images, method="percentile")
    ptq.export_onnx(q, tmp_path / "gray.onnx")
    (fed,) = onnx.load(tmp_path / "gray.onnx").graph.input
    assert [d.dim_value for d in fed.type.tensor_type.shape.dim[1:]] == [1, 32, 32]
    check = ptq.check_onnx(q, tmp_path / "gray.onnx", images)
    assert sum(layer.mismatches for layer in check.layers.values()) == 0
    assert check.logits["as written"].predictions == 0


def test_one_format_for_all_heads_is_that_of_every_head(
    quantized: ptq.QuantizedModel, images: torch.Tensor, tmp_path: Path
) -> None:
    q = copy.deepcopy(quantized)
    for name in ("blocks.0.attn.qkv", "blocks.0.attn.matmul_qk", "blocks.1.attn.matmul_pv"):
        formats = q.layers[name].formats
        assert formats is not None
        q.layers[name].formats = OperandFormats(formats.a[:1], formats.b[:1])
    ptq.export_onnx(q, tmp_path / "m.onnx")
    check = ptq.check_onnx(q, tmp_path / "m.onnx", images[:2])
    assert sum(layer.mismatches for layer in check.layers.values()) == 0


@pytest.mark.parametrize(
    ("constant", "change", "layer"),
    [
        ("blocks.0.attn.qkv/A/scale", lambda x: x * np.float32(1.01), "blocks.0.attn.qkv"),
        ("blocks.0.attn.qkv/B/scale", lambda x: x[::-1], "blocks.0.attn.qkv"),
        ("blocks.1.attn.qkv/B/codes", lambda x: np.roll(x, 1, axis=0), "blocks.1.attn.qkv"),
        ("blocks.0.attn.matmul_pv/A/split", lambda x: x * np.float32(0.03), "blocks.0.attn.matmul_pv"),
        ("blocks.0.attn.matmul_qk/A/high", lambda x: x - x.dtype.type(1), "blocks.0.attn.matmul_qk"),
        ("head/bias", lambda x: x + np.float32(1e-2), "head"),
    ],
)
def test_the_check_tells_a_wrong_constant(
    exported: Exported, images: torch.Tensor, tmp_path: Path, constant: str, change: Callable[[Any], Any], layer: str
) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(exported.model)
    for proto in model.graph.initializer:
        if proto.name == constant:
            proto.CopyFrom(
                numpy_helper.from_array(np.ascontiguousarray(change(numpy_helper.to_array(proto))), constant)
            )
    onnx.save(model, tmp_path / "wrong.onnx")
    check = ptq.check_onnx(exported.quantized, tmp_path / "wrong.onnx", images)
    assert not check.passed
    failed = {name for name, found in check.layers.items() if found.mismatches or found.same_input > 1e-4}
    assert failed == {layer}  # and no other: each is judged from the input that it got


def test_left_in_float(own: ptq.QuantizedModel, images: torch.Tensor, tmp_path: Path) -> None:
    exported = export(own, tmp_path / "float.onnx", other_formats=ptq.OtherFormats.FLOAT)
    assert set(exported.report.in_float) == set(exported.report.not_q_dq) == set(exported.metadata["in_float"])
    assert len(exported.report.in_float) == 4
    assert not [node for node in exported.model.graph.node if node.op_type == "Where"]
    check = ptq.check_onnx(own, exported.report.path, images)
    assert check.passed
    for name, layer in check.layers.items():
        assert layer.quantized == (f"{name} A" not in exported.report.in_float)
        assert (layer.same_input > 1e-4) != layer.quantized  # what leaving it in float does
        assert layer.mismatches == 0


def test_a_full_disk_leaves_the_old_file_and_no_other(
    own: ptq.QuantizedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "m.onnx"
    path.write_bytes(b"before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=re.escape(f"No space left on device: '{path}'")):
        ptq.export_onnx(own, path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_files_of_others_are_refused(
    exported: Exported, quantized: ptq.QuantizedModel, images: torch.Tensor, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="ptqsim export"):
        ptq.check_onnx(quantized, tmp_path / "none.onnx", images)
    with pytest.raises(ValueError, match=r"another calibrated model \(layer 'blocks.0.mlp.fc1' differs\)"):
        ptq.check_onnx(quantized, exported.report.path, images)
    (tmp_path / "text.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match="no readable ONNX file"):
        ptq.check_onnx(quantized, tmp_path / "text.onnx", images)
    foreign = onnx.ModelProto()
    foreign.CopyFrom(exported.model)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(ValueError, match="not one of ptqsim"):
        ptq.check_onnx(quantized, tmp_path / "foreign.onnx", images)


def test_a_model_without_formats_and_an_unknown_choice_are_refused(
    model: nn.Module, quantized: ptq.QuantizedModel, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="calibrate the model before exporting"):
        ptq.export_onnx(ptq.QuantizedModel(model), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="explicit"):
        ptq.export_onnx(quantized, tmp_path / "m.onnx", other_formats="explicitly")
    assert list(tmp_path.iterdir()) == []
