"""ONNX Runtime against fake_quant mode, layer by layer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from ptqsim.common.progress import Progress
from ptqsim.ptq.network.admission.images import check_images
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.onnx_export.compare import LayerComparison, Tensors
from ptqsim.ptq.onnx_export.export import METADATA
from ptqsim.ptq.onnx_export.report import LogitDifference, OnnxCheck
from ptqsim.ptq.onnx_export.skeleton import INPUT, OUTPUT

Arrays = dict[str, NDArray[Any]]

AS_WRITTEN: Final = "as written"
OPTIMIZED: Final = {
    "optimized": {},
    # left to itself, the optimizer has weights multiplied by a kernel that rounds activations to 8 bits once more
    "optimized, exact activations": {"session.qdq_matmulnbits_accuracy_level": "0"},
}
"""Ways to run a file, by what they set in the session's configuration."""


def check(quantized: QuantizedModel, path: Path, images: torch.Tensor, batch: int, progress: Progress) -> OnnxCheck:
    """See :func:`ptqsim.ptq.check_onnx`."""
    check_images(images, quantized.model)
    model, layers = _read(path, quantized)
    sessions = {way: _session(model, options) for way, options in OPTIMIZED.items()}
    names = _watch(model, layers)
    plain = _session(model, None)
    comparisons = {name: LayerComparison(quantized.layers[name], layer) for name, layer in layers.items()}
    device = next(quantized.model.parameters()).device
    ours: list[NDArray[Any]] = []
    theirs: dict[str, list[NDArray[Any]]] = {way: [] for way in (AS_WRITTEN, *sessions)}
    with _fake_quant(quantized, list(layers)) as seen:
        for part in images.split(batch):
            feed = {INPUT: part.cpu().numpy().astype(np.float32, copy=False)}
            found: Arrays = dict(zip(names, plain.run(names, feed), strict=True))
            theirs[AS_WRITTEN].append(found[OUTPUT])
            for way, session in sessions.items():
                theirs[way].append(session.run([OUTPUT], feed)[0])
            ours.append(quantized(part.to(device)).cpu().numpy())
            for name, comparison in comparisons.items():
                comparison.add(found | feed, *seen.pop(name))
            progress(sum(map(len, ours)), len(images))
    logits = np.concatenate(ours)
    return OnnxCheck(
        images=len(images),
        runtime=onnxruntime.__version__,
        layers={name: comparison.result() for name, comparison in comparisons.items()},
        logits={way: _difference(logits, np.concatenate(parts)) for way, parts in theirs.items()},
    )


def _difference(ours: NDArray[Any], theirs: NDArray[Any]) -> LogitDifference:
    return LogitDifference(float(np.abs(ours - theirs).max()), int((ours.argmax(1) != theirs.argmax(1)).sum()))


def _read(path: Path, quantized: QuantizedModel) -> tuple[ModelProto, Mapping[str, Any]]:
    """The file, and what its metadata says of each layer; refused if it is not of this model."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no ONNX file at {path}: make one with ptqsim export --onnx {path}")
    try:
        model = onnx.load(path)
    except DecodeError as error:
        raise ValueError(f"{path} is no readable ONNX file ({error}): make it anew") from None
    props = {prop.key: prop.value for prop in model.metadata_props}
    if METADATA not in props:
        raise ValueError(f"{path} is an ONNX file, but not one of ptqsim: make one with ptqsim export --onnx")
    layers: dict[str, Any] = json.loads(props[METADATA])["layers"]
    for name, layer in layers.items():
        op = quantized.layers.get(name)
        formats = None if op is None else op.formats
        if formats is None or any(
            [f.to_dict() for f in operand] != layer["formats"][side]
            for side, operand in (("a", formats.a), ("b", formats.b))
        ):
            raise ValueError(
                f"{path} was exported from another calibrated model (layer {name!r} differs): export this one first"
            )
    return model, layers


def _watch(model: ModelProto, layers: Mapping[str, Any]) -> list[str]:
    """Make every value that is compared an output of the graph; their names."""
    constants = {constant.name for constant in model.graph.initializer}
    wanted = dict.fromkeys(
        name
        for layer in layers.values()
        for name in (*layer["values"]["inputs"], *layer["values"]["operands"], layer["values"]["output"])
        if name != INPUT and name not in constants
    )
    present = {output.name for output in model.graph.output}
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in wanted if name not in present
    )
    return list(wanted | dict.fromkeys(present))


def _session(model: ModelProto, optimized: Mapping[str, str] | None) -> onnxruntime.InferenceSession:
    """A session with default optimizations and these entries of its configuration, or with none at all."""
    options = onnxruntime.SessionOptions()
    if optimized is None:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for key, value in (optimized or {}).items():
        options.add_session_config_entry(key, value)
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; warnings speak of what its optimizer removes
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@contextmanager
def _fake_quant(quantized: QuantizedModel, names: list[str]) -> Iterator[dict[str, tuple[Tensors, torch.Tensor]]]:
    """Run in fake_quant mode and see the inputs and the output of every layer, as of the last call."""
    seen: dict[str, tuple[Tensors, torch.Tensor]] = {}

    def hook(op: torch.nn.Module, inputs: Tensors, output: torch.Tensor) -> None:
        assert isinstance(op, MatmulOperation)
        seen[op.name] = inputs, output

    before = quantized.mode
    handles = [quantized.layers[name].register_forward_hook(hook) for name in names]
    quantized.mode = "fake_quant"
    try:
        yield seen
    finally:
        quantized.mode = before
        for handle in handles:
            handle.remove()
