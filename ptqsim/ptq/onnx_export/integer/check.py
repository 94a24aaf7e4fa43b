"""ONNX Runtime against integer-only mode: every integer of every edge, and the logits with the optimizer on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import ModelProto, helper

from ptqsim.common.progress import Progress
from ptqsim.datapath.spec import Accumulator
from ptqsim.integer_only import Plan, execute
from ptqsim.integer_only.plan import PIXELS
from ptqsim.integer_only.steps import Step
from ptqsim.ptq.onnx_export.integer.export import METADATA, description
from ptqsim.ptq.onnx_export.report import IntegerOnnxCheck


def check(
    plan: Plan,
    path: Path,
    pixels: NDArray[np.uint8],
    accumulators: Mapping[str, Accumulator],
    batch: int,
    progress: Progress,
) -> IntegerOnnxCheck:
    """See :func:`ptqsim.ptq.check_integer_onnx`."""
    images = plan.checked_images(pixels)
    model = read(path, plan)
    optimized = session(model, optimize=True)
    names = [step.name for step in plan.steps]
    model.graph.output.extend(
        helper.make_empty_tensor_value_info(name) for name in names if name != model.graph.output[0].name
    )
    plain = session(model, optimize=False)
    found = IntegerOnnxCheck(len(images), onnxruntime.__version__, dict.fromkeys(names, 0))
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        theirs = dict(zip(names, plain.run(names, {PIXELS: part}), strict=True))
        logits = optimized.run([plan.output], {PIXELS: part})[0]

        def compare(step: Step, values: Mapping[str, NDArray[Any]], made: NDArray[Any]) -> None:
            found.values += made.size
            found.edges[step.name] += int((theirs[step.name] != made).sum())  # noqa: B023

        ours = execute(plan, part, accumulators, compare)
        found.logits += ours.size
        found.optimized += int((logits != ours).sum())
        progress(min(start + batch, len(images)), len(images))
    return found


def read(path: Path, plan: Plan) -> ModelProto:
    """A file of this network; anything else is an error."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no ONNX file at {path}: make one with ptqsim export --mode integer_only")
    try:
        model = onnx.load(path)
    except DecodeError as error:
        raise ValueError(f"{path} is no readable ONNX file ({error}): make it anew") from None
    about = {prop.key: prop.value for prop in model.metadata_props}.get(METADATA)
    if about is None:
        raise ValueError(
            f"{path} is no integer-only network of ptqsim: make one with ptqsim export --mode integer_only"
        )
    if json.loads(about) != description(plan):
        raise ValueError(f"{path} was exported from another calibrated model: export this one first")
    return model


def session(model: ModelProto, optimize: bool) -> onnxruntime.InferenceSession:
    """A session on the CPU, with the optimizer's defaults or without it."""
    options = onnxruntime.SessionOptions()
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
