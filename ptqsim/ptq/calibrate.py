"""Calibration: find the formats of every operation of a network (PTQ4ViT Algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

import ptqsim as pq
from ptqsim.ptq.capture import Captured, OperationData, capture
from ptqsim.ptq.concurrency import each
from ptqsim.ptq.methods import Method, make_method
from ptqsim.ptq.operations import MatmulOperation, OperandFormats
from ptqsim.ptq.quantized_model import QuantizedModel
from ptqsim.ptq.search import alternate
from ptqsim.ptq.search_space import group_max, uniform

Progress = Callable[[int, int, str], None]


def calibrate(
    model: nn.Module,
    images: torch.Tensor,
    *,
    method: str = "ptq4vit",
    w_bits: int = 8,
    a_bits: int = 8,
    seed: int = 0,
    captured: Captured | None = None,
    progress: Progress = lambda done, total, name: None,
    **options: Any,
) -> QuantizedModel:
    """Quantize a network after training, from a few unlabeled images.

    Every layer is calibrated on what it sees in the float network (the parallel paradigm, appendix 6.2).  Computation
    takes place on the device of the model.

    Parameters
    ----------
    model : nn.Module
        A timm ViT, DeiT or Swin; it is left as it is.
    images : float tensor [N, C, H, W]
        Calibration images, preprocessed as the model expects.
    method : str
        ``"ptq4vit"`` or ``"base_ptq"``.
    w_bits, a_bits : int
        Width of weights and activations, 2 to 16.  Both operands of Q K^T and P V are activations.
    seed : int
        Of everything random in the method.
    captured : Captured, optional
        What :func:`ptqsim.ptq.capture` returned for this model and these images, to share one capture among several
        calibrations.
    progress : callable
        Called with layers done, all layers, and the name of the layer that was done last.
    **options
        Options of the method by name; see the fields of its class in :mod:`ptqsim.ptq.methods`.

    Returns
    -------
    QuantizedModel
        In mode ``fake_quant``.

    Raises
    ------
    ValueError
        For unknown methods or options, widths out of range, images that are not finite, or a model with an operation
        that is not supported.
    """
    chosen = make_method(method, options)
    for name, bits in (("w_bits", w_bits), ("a_bits", a_bits)):
        if not 2 <= bits <= 16:
            raise ValueError(f"{name} is {bits}; legal is 2 to 16: try 8, 6 or 4")
    quantized = QuantizedModel(model, _info(chosen, w_bits, a_bits, seed, len(images)))
    if captured is not None:
        _search_all(quantized, captured, chosen, w_bits, a_bits, progress)
    else:
        with capture(quantized, images, gradient=chosen.task_loss, seed=seed) as fresh:
            _search_all(quantized, fresh, chosen, w_bits, a_bits, progress)
    quantized.mode = "fake_quant"
    return quantized


def _info(method: Method, w_bits: int, a_bits: int, seed: int, images: int) -> dict[str, Any]:
    options = asdict(method)  # type: ignore[call-overload]
    return {
        "method": method.name,
        "options": options,
        "w_bits": w_bits,
        "a_bits": a_bits,
        "seed": seed,
        "images": images,
        "ptqsim": pq.__version__,
    }


def _search_all(
    quantized: QuantizedModel, captured: Captured, method: Method, w_bits: int, a_bits: int, progress: Progress
) -> None:
    if method.task_loss != captured.gradient and method.task_loss is not None:
        raise ValueError(
            f"method {method.name!r} needs gradients of kind {method.task_loss!r}, but those captured are of kind "
            f"{captured.gradient!r}: capture with gradient={method.task_loss!r}"
        )
    if missing := [name for name in quantized.layers if name not in captured]:
        raise ValueError(f"layer {missing[0]!r} was not captured: capture from the same model")
    device = next(quantized.model.parameters()).device

    def search(op: MatmulOperation) -> str:
        data = _to_device(captured[op.name], device)
        op.depth = data.a.shape[-1]
        op.formats, op.report = search_operation(op, data, method, w_bits, a_bits)
        return op.name

    # Layers are independent of each other. On a CPU, one layer per thread beats many threads per layer, whose
    # products are small; and as each runs on one thread, no sum depends on their number.
    workers = torch.get_num_threads() if device.type == "cpu" else 1
    for done, name in enumerate(each(search, quantized.layers.values(), workers), start=1):
        progress(done, len(quantized.layers), name)


def search_operation(
    op: MatmulOperation, data: OperationData, method: Method, w_bits: int, a_bits: int
) -> tuple[OperandFormats, Mapping[str, object]]:
    """The formats of one operation, and the report of their search."""
    b_bits = a_bits if op.constant_b is None else w_bits
    a_space = method.a_candidates(op, data.a, a_bits)
    b_space = method.b_candidates(op, data.b, b_bits)
    start = uniform(group_max(data.b), b_bits, [1.0]).choose([0] * data.b.shape[0])  # Algorithm 1 line 8
    result = alternate(
        data, a_space, b_space, start, method.objective, method.rounds, constant_b=op.constant_b is not None
    )
    report = {
        "objective": method.objective.name,
        "score": result.score,
        "rounds": result.rounds,
        "evaluated": result.evaluated,
        "pruned": result.pruned,
        "a_normalized": a_space.choose_normalized(result.a),
        "b_normalized": b_space.choose_normalized(result.b),
    }
    return OperandFormats(a_space.choose(result.a), b_space.choose(result.b)), report


def _to_device(data: OperationData, device: torch.device) -> OperationData:
    grad = None if data.grad is None else data.grad.to(device)
    return OperationData(data.a.to(device), data.b.to(device), data.out.to(device), grad)
