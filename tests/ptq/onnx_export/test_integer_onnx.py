"""Integer-only networks in ONNX: no float in the file, and every integer of every edge equal in ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import ptqsim as pq
from ptqsim import integer_only as io
from ptqsim import units
from ptqsim.common.progress import silent
from ptqsim.ptq.onnx_export.integer import units as units_in_onnx
from ptqsim.ptq.onnx_export.integer.check import check
from ptqsim.ptq.onnx_export.integer.export import export, integer_model
from ptqsim.ptq.onnx_export.report import IntegerOnnxCheck
from tests.integer_only.plans import FMT, IMAGES, PLAN, weights
from tests.units.cases import unit_plan

BYTE = pq.Uniform(8, 1.0, signed=False, zero_point=9)
INTEGERS = {
    TensorProto.INT64, TensorProto.INT32, TensorProto.UINT8, TensorProto.UINT16, TensorProto.BOOL,
}  # fmt: skip


def compared(plan: io.Plan, images: np.ndarray, folder: Path, accumulators: Any = None) -> IntegerOnnxCheck:
    export(plan, folder / "m.onnx", accumulators)
    return check(plan, folder / "m.onnx", images, accumulators or {}, 2, silent)


def head(left: pq.NumberFormat, right: pq.QuantizedArray) -> io.Plan:
    """Pixels as codes of a format, by a product."""
    rescale = units.Rescale.from_real(left.step, left, acc_bits=9)
    steps = (
        io.Move("row", "pixels", (io.Reshape((4, 12)),)),
        io.Apply("codes", ("row",), (rescale,)),
        io.Product("logits", "codes", weights=(right,)),
    )
    return io.Plan(steps, (3, 4, 4), (0.5,) * 3, (0.5,) * 3, 1.0)


def test_every_edge_of_a_plan_equals_execution(tmp_path: Path) -> None:
    found = compared(PLAN, IMAGES, tmp_path)
    assert found.passed, found.edges
    assert found.edges.keys() == {step.name for step in PLAN.steps}
    assert found.values == sum(int(np.prod(edge.shape)) for name, edge in PLAN.edges.items() if name != "pixels") * 3
    assert found.logits == 15


def test_a_file_has_no_float() -> None:
    model, operators = integer_model(PLAN)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    types = {one.data_type for one in inferred.initializer}
    types |= {one.type.tensor_type.elem_type for one in (*inferred.input, *inferred.output, *inferred.value_info)}
    assert types <= INTEGERS
    typed = {one.name for one in (*inferred.output, *inferred.value_info)}
    assert typed == {name for node in inferred.node for name in node.output}
    assert {node.domain for node in inferred.node} == {""}
    assert set(operators.values()) == {"MatMulInteger"}


@pytest.mark.slow
def test_every_case_of_every_unit_equals_its_kernel(tmp_path: Path) -> None:
    images = np.random.default_rng(4).integers(0, 256, (2, 1, 12, 48)).astype(np.uint8)
    found = compared(unit_plan(), images, tmp_path)
    assert found.passed, {name: count for name, count in found.edges.items() if count}


@pytest.mark.parametrize(
    ("left", "right", "operator"),
    [
        (pq.Uniform(8, 1.0), weights(12, 3), "MatMulInteger"),
        (BYTE, weights(12, 3, pq.Uniform(6, 0.1, zero_point=-5)), "MatMulInteger"),
        (pq.TwinGELU(8, 5, 0.5), weights(12, 3), "MatMulInteger"),
        (pq.TwinSoftmax(8, 6), weights(12, 3), "MatMulInteger"),
        (pq.Uniform(10, 1.0), weights(12, 3), "MatMul"),
        (pq.TwinGELU(9, 5, 0.5), weights(12, 3), "MatMul"),
        (pq.Uniform(8, 1.0), weights(12, 3, pq.TwinGELU(6, 4, 0.5)), "MatMul"),
        (pq.TwinGELU(16, 6, 0.5), weights(12, 3, pq.Uniform(12, 0.1)), "MatMul"),
    ],
)  # fmt: skip
def test_operands_of_any_format(left: Any, right: Any, operator: str, tmp_path: Path) -> None:
    plan = head(left, right)
    assert integer_model(plan)[1] == {"logits": operator}
    assert compared(plan, IMAGES, tmp_path).passed


def test_formats_of_heads_that_differ(tmp_path: Path) -> None:
    """A zero point or an alignment exponent for each head."""
    formats = [pq.TwinSoftmax(6, 4), pq.TwinSoftmax(6, 2)]
    softmax = tuple(units.Softmax.from_real(0.01, fmt, 5, score_bits=20) for fmt in formats)
    coded = tuple(
        units.Rescale.from_real(0.001, pq.Uniform(6, 0.1, signed=False, zero_point=zero), acc_bits=16)
        for zero in (11, 40)
    )
    changed = {"softmax": softmax, "q": coded}
    steps = tuple(
        replace(step, units=changed.get(step.name, step.units)) if isinstance(step, io.Apply) else step
        for step in PLAN.steps
    )
    found = compared(replace(PLAN, steps=steps), IMAGES, tmp_path)
    assert found.passed, found.edges


def test_accumulators(tmp_path: Path) -> None:
    """Registers that wrap can be said; those that saturate or trap are refused where they can overflow."""
    narrow = {step.name: pq.Accumulator(bits=9, overflow="wrap") for step in PLAN.products()}
    found = compared(PLAN, IMAGES, tmp_path, narrow)
    assert found.passed, found.edges
    assert not np.array_equal(io.execute(PLAN, IMAGES, narrow), io.execute(PLAN, IMAGES))
    for mode in ("saturate", "trap"):
        wide = {step.name: pq.Accumulator(bits=32, overflow=mode) for step in PLAN.products()}
        assert compared(PLAN, IMAGES, tmp_path, wide).passed
        with pytest.raises(ValueError, match=r"'embed' can overflow .*no sums that saturate or trap"):
            integer_model(PLAN, {"embed": pq.Accumulator(bits=9, overflow=mode)})
    with pytest.raises(ValueError, match=r"'embed' can overflow .*ONNX adds in sequence"):
        integer_model(PLAN, {"embed": pq.Accumulator(bits=9, order=pq.Tree(lanes=4))})


def test_a_difference_is_found(tmp_path: Path) -> None:
    export(PLAN, tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    constant = next(one for one in model.graph.initializer if one.data_type == TensorProto.INT64 and one.dims == [5, 6])
    data = np.frombuffer(constant.raw_data, np.int64) + 500
    constant.raw_data = data.tobytes()
    onnx.save(model, tmp_path / "m.onnx")
    found = check(PLAN, tmp_path / "m.onnx", IMAGES, {}, 3, silent)
    assert not found.passed
    assert found.edges["positions"] == 3 * 30
    assert found.edges["tokens"] == 0
    assert found.optimized > 0


def test_files_that_are_no_such_network(tmp_path: Path) -> None:
    def checked(plan: io.Plan = PLAN) -> None:
        check(plan, tmp_path / "m.onnx", IMAGES, {}, 1, silent)

    with pytest.raises(FileNotFoundError, match="export --mode integer_only"):
        checked()
    (tmp_path / "m.onnx").write_bytes(b"\xff\xff\xff")
    with pytest.raises(ValueError, match="no readable ONNX file"):
        checked()
    export(PLAN, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="another calibrated model"):
        checked(replace(PLAN, logit_scale=0.25))
    model = onnx.load(tmp_path / "m.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="no integer-only network of ptqsim"):
        checked()


def test_a_unit_without_a_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(units_in_onnx._FORMS, units.ResidualAdd)
    with pytest.raises(ValueError, match="ResidualAdd has no form in ONNX"):
        integer_model(PLAN)


def test_a_width_of_the_format_stays(tmp_path: Path) -> None:
    """Codes of more than 8 bits are stored as uint16."""
    stored = {name: np.dtype(edge.formats[0].code_dtype) for name, edge in PLAN.edges.items() if edge.coded}
    assert stored["stream"] == np.uint16
    assert FMT.code_dtype == np.uint8
    model, _ = integer_model(PLAN)
    types = {
        one.name: one.type.tensor_type.elem_type for one in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    for name, dtype in stored.items():
        if name != "pixels":
            assert types[name] == onnx.helper.np_dtype_to_tensor_dtype(dtype), name
