"""From a calibrated model to an ONNX file: the skeleton with every operation filled in."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import onnx
from onnx import ModelProto, NodeProto, helper

from ptqsim.common import files, strict_json
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.onnx_export.layers import Values, expand
from ptqsim.ptq.onnx_export.operands import OtherFormats, plan
from ptqsim.ptq.onnx_export.report import ExportReport, LayerExport
from ptqsim.ptq.onnx_export.skeleton import DOMAIN, OPSET, skeleton

METADATA: Final = "ptqsim"
"""Key of the file's metadata under which JSON says what the file is; see docs/onnx.md."""

IR_VERSION: Final = 10  # that of opset 21


def export(quantized: QuantizedModel, path: Path, other_formats: OtherFormats) -> ExportReport:
    """See :func:`ptqsim.ptq.export_onnx`."""
    plans = {name: LayerExport(op.kind, *plan(op, other_formats)) for name, op in quantized.layers.items()}
    mode = quantized.mode
    quantized.mode = "fake_quant"  # with the LayerNorms that belong to it, whatever mode runs
    try:
        model = skeleton(quantized)
    finally:
        quantized.mode = mode
    values = _fill_in(model, quantized, plans)
    report = ExportReport(path, 0, OPSET, {name: plans[name] for name in values})
    model = _finish(model, report, _metadata(quantized, report, values))
    files.write(path, model.SerializeToString())
    return ExportReport(path, path.stat().st_size, OPSET, report.layers)


def _fill_in(model: ModelProto, quantized: QuantizedModel, plans: dict[str, LayerExport]) -> dict[str, Values]:
    """Put the operators of each layer where its placeholder is; the values of each layer, in the order of execution."""
    graph = model.graph
    outputs = {output.name for output in graph.output}
    renamed: dict[str, str] = {}
    nodes: list[NodeProto] = []
    found: dict[str, Values] = {}
    for node in graph.node:
        inputs = [renamed.get(name, name) for name in node.input]
        if node.domain != DOMAIN:
            nodes.append(_clean(node, inputs))
            continue
        layer = next(a.s.decode() for a in node.attribute if a.name == "layer")
        if layer in found:
            raise ValueError(f"layer {layer!r} runs twice in this network, which export can't say: choose another one")
        # a layer's output goes by the layer's name, unless it is that of the whole network
        old = node.output[0]
        renamed[old] = old if old in outputs else layer
        made, found[layer] = expand(quantized.layers[layer], plans[layer], inputs, renamed[old])
        nodes += made.nodes
        graph.initializer.extend(made.constants)
    del graph.node[:]
    graph.node.extend(nodes)
    return found


def _clean(node: NodeProto, inputs: list[str]) -> NodeProto:
    """The exporter's node without what it notes about the source, paths of this machine among it."""
    kept = NodeProto()
    kept.CopyFrom(node)
    del kept.input[:]
    kept.input.extend(inputs)
    kept.ClearField("metadata_props")
    kept.ClearField("doc_string")
    return kept


def _metadata(quantized: QuantizedModel, report: ExportReport, values: dict[str, Values]) -> dict[str, Any]:
    formats = {name: quantized.layers[name].formats for name in values}
    return {
        "version": version("ptqsim"),
        "info": quantized.info,
        "not_q_dq": report.not_q_dq,
        "in_float": report.in_float,
        "layers": {
            name: asdict(layer)
            | {"values": asdict(values[name])}
            | {"formats": {side: [f.to_dict() for f in getattr(formats[name], side)] for side in ("a", "b")}}
            for name, layer in report.layers.items()
        },
    }


def _finish(model: ModelProto, report: ExportReport, metadata: dict[str, Any]) -> ModelProto:
    """Name the file's origin, infer the shapes of all values, and have ONNX check the whole."""
    graph = model.graph
    graph.name = "ptqsim"
    for field in ("value_info", "metadata_props", "doc_string"):
        graph.ClearField(field)
    for named in (*graph.input, *graph.output, *graph.initializer):
        named.ClearField("metadata_props")
        named.ClearField("doc_string")
    finished = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ptqsim",
        producer_version=metadata["version"],
        doc_string=_description(report),
    )
    helper.set_model_props(finished, {METADATA: strict_json.dumps(metadata)})
    finished = onnx.shape_inference.infer_shapes(finished, check_type=True, strict_mode=True)
    onnx.checker.check_model(finished)
    return finished


def _description(report: ExportReport) -> str:
    others = report.not_q_dq
    products = f"Quantized by ptqsim: {len(report.layers)} matrix products"
    if not others:
        return f"{products}, all operands as QuantizeLinear and DequantizeLinear."
    head = f"{products}; {len(others)} of their {2 * len(report.layers)} operands QuantizeLinear can't say:"
    return "\n".join([head, *(f"{operand}: {how}" for operand, how in others.items())])
