"""Sensitivity by the trace of the loss's Hessian (Liu et al. Table 4, after HAWQ-V2, arXiv:1911.03852)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from ptqsim.ptq.calibration.layer import LayerResult
from ptqsim.ptq.network.products.operations import WeightOperation
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.network.tasks.task import task_of
from ptqsim.ptq.search.capture import BATCH
from ptqsim.ptq.threads import one_thread


def hutchinson_traces(
    loss: Callable[[], torch.Tensor], parameters: Mapping[str, torch.Tensor], probes: int, generator: torch.Generator
) -> dict[str, float]:
    """Trace of each parameter's diagonal block of the loss's Hessian, by Hutchinson's estimator E[v^T H v] = tr(H).

    One product with the Hessian serves all parameters: as the entries of v are independent signs, what one block sees
    of another has expectation zero.

    Parameters
    ----------
    loss : callable
        Returns the scalar loss of parameters that require gradients.
    parameters : mapping
        By name.
    probes : int
        Vectors v of independent signs.
    generator : torch.Generator
        Their source, on the CPU.
    """
    variables = list(parameters.values())
    gradients = torch.autograd.grad(loss(), variables, create_graph=True)
    totals = dict.fromkeys(parameters, 0.0)
    for _ in range(probes):
        vectors = [_signs(variable, generator) for variable in variables]
        products = torch.autograd.grad(gradients, variables, grad_outputs=vectors, retain_graph=True)
        for name, vector, product in zip(parameters, vectors, products, strict=True):
            totals[name] += float((vector * product).double().sum()) / probes
    return totals


def weight_traces(network: nn.Module, images: torch.Tensor, probes: int, seed: int) -> dict[str, float]:
    """Mean trace, tr(H) / size, of every weight; the loss is the task's, of a classifier with its own arg max.

    The same signs meet every batch of images, so that batches do not change what is estimated.  A trace below zero,
    which the estimate can give where the true one is small, counts as zero.
    """
    quantized, task = QuantizedModel(network), task_of(network)
    device = next(quantized.model.parameters()).device
    weights = {name: op.weight for name, op in quantized.layers.items() if isinstance(op, WeightOperation)}
    for weight in weights.values():
        weight.requires_grad_(True)
    traces = dict.fromkeys(weights, 0.0)
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH].to(device)

        def loss(part: torch.Tensor = part) -> torch.Tensor:
            return task.traced_loss(quantized.model(part)) / len(images)

        with one_thread(device):
            found = hutchinson_traces(loss, weights, probes, torch.Generator().manual_seed(seed))
        for name, trace in found.items():
            traces[name] += trace / weights[name].numel()
    return {name: max(trace, 0.0) for name, trace in traces.items()}


def weight_error(op: WeightOperation, result: LayerResult) -> float:
    """||Q(W) - W||_2^2 of a calibrated layer; the operation is left without formats."""
    result.apply(op)
    try:
        codes = [torch.from_numpy(codes.dequantize()) for codes in op.weight_codes]
    finally:
        op.formats = None
    return float((torch.stack(codes) - op.constant_b.double().cpu()).square().sum())


def _signs(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    signs = torch.randint(0, 2, like.shape, generator=generator, dtype=torch.int8) * 2 - 1
    return signs.to(like.device, like.dtype)
