"""From a plan to an ONNX file whose values are integers from the pixels to the logits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper

from ptqsim.common import files, strict_json
from ptqsim.datapath.spec import Accumulator
from ptqsim.integer_only import Plan
from ptqsim.integer_only.plan import PIXELS
from ptqsim.ptq.onnx_export.integer.steps import StepsInOnnx
from ptqsim.ptq.onnx_export.report import IntegerExport

OPSET: Final = 21
IR_VERSION: Final = 10
METADATA: Final = "ptqsim.integer_only"
"""Key of the file's metadata under which JSON has the scale of the logits, and the formats of the edges."""


def export(plan: Plan, path: Path, accumulators: Mapping[str, Accumulator] | None = None) -> IntegerExport:
    """See :func:`ptqsim.ptq.export_integer_onnx`."""
    model, operators = integer_model(plan, accumulators)
    files.write(path, model.SerializeToString())
    counts = Counter(node.op_type for node in model.graph.node)
    return IntegerExport(path, path.stat().st_size, OPSET, operators, dict(counts.most_common()))


def integer_model(
    plan: Plan, accumulators: Mapping[str, Accumulator] | None = None
) -> tuple[ModelProto, dict[str, str]]:
    """The file's content, and the operator of every product."""
    steps = StepsInOnnx(plan, accumulators or {})
    for step in plan.steps:
        steps.add(step)
    output = plan.edges[plan.output]
    stored = np.dtype(output.formats[0].code_dtype if output.coded else np.int64)
    logits = helper.make_tensor_value_info(
        output.name, helper.np_dtype_to_tensor_dtype(stored), ["batch", *output.shape]
    )
    graph = helper.make_graph(
        steps.graph.nodes,
        "ptqsim",
        [helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, ["batch", *plan.image])],
        [logits],
        initializer=steps.graph.constants,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ptqsim",
        producer_version=version("ptqsim"),
        doc_string="An integer-only network of ptqsim: 8-bit pixels to integer logits, every value an integer.",
    )
    helper.set_model_props(model, {METADATA: strict_json.dumps(description(plan))})
    onnx.checker.check_model(model)
    return model, steps.operators


def description(plan: Plan) -> dict[str, Any]:
    """The file's metadata."""
    edges = {
        name: {"shape": list(edge.shape), "bits": edge.bits, "formats": [fmt.to_dict() for fmt in edge.formats]}
        for name, edge in plan.edges.items()
    }
    return {"logit_scale": plan.logit_scale, "edges": edges}
