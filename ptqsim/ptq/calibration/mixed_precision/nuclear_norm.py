"""Sensitivity by the nuclear norm, and the error that each width causes in each module (Liu et al. Eq. 16 and 17)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.hooks import RemovableHandle

from ptqsim.ptq.calibration.layer import LayerResult
from ptqsim.ptq.calibration.mixed_precision.modules import TransformerModule
from ptqsim.ptq.calibration.mixed_precision.options import Attention
from ptqsim.ptq.network.products.operations import Mode
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.search.capture import BATCH
from ptqsim.ptq.threads import one_thread

Floats = NDArray[np.float64]


def nuclear_norm(matrices: torch.Tensor) -> float:
    """Sum of the singular values (Eq. 16) of all matrices [..., M, N]."""
    return float(torch.linalg.svdvals(matrices).double().sum())


def module_errors(
    quantized: QuantizedModel,
    images: torch.Tensor,
    modules: Sequence[TransformerModule],
    results: Mapping[int, Mapping[str, LayerResult]],
    attention: Attention | str,
) -> tuple[Floats, Floats]:
    """Nuclear norm of every module, and the squared error of every width.

    A module sees its input in the float network, and all of its operations are quantized: the error in A is that of
    W_Q, W_K and of both operands of Q K^T together.  Both are means over the images; heads, and windows, are added up.

    Parameters
    ----------
    quantized : QuantizedModel
        In mode ``float``, as it is afterwards.
    images : float tensor [N, C, H, W]
    modules : sequence of TransformerModule
        Modules of that model.
    results : mapping
        By width, the calibrated layers.
    attention : {"scores", "probabilities"}
        The attention map A: Q K^T or its softmax.

    Returns
    -------
    norms : float64 array [modules]
        tr(A_i) or tr(O_j).
    errors : float64 array [modules, widths]
        ||A_hat - A||_2^2 or ||O_hat - O||_2^2, the widths in the order of ``results``.
    """
    norms, errors = np.zeros(len(modules)), np.zeros((len(modules), len(results)))
    seen: dict[str, torch.Tensor] = {}
    device = next(quantized.model.parameters()).device

    def keep_output(op: nn.Module, args: Any, out: torch.Tensor) -> None:
        seen["out"] = out

    def keep_features(op: nn.Module, args: Any, out: torch.Tensor) -> None:
        seen["out"] = out.flatten(1, -2)  # tokens by features, also of Swin, whose tokens lie in a plane

    def keep_input(op: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        seen["out"] = args[0]

    def watch(module: TransformerModule) -> RemovableHandle:
        if module.kind == "mlp":
            return module.operations[-1].register_forward_hook(keep_features)  # O of Eq. 5
        by_kind = {op.kind: op for op in module.operations}
        if attention == "scores":
            return by_kind["matmul_qk"].register_forward_hook(keep_output)
        return by_kind["matmul_pv"].register_forward_pre_hook(keep_input)

    def rerun(index: int, module: nn.Module) -> Any:
        def hook(_: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            exact = seen["out"]
            norms[index] += nuclear_norm(exact)
            for column, layers in enumerate(results.values()):
                for op in modules[index].operations:
                    layers[op.name].apply(op)
                    op.mode = Mode.FAKE_QUANT
                module.forward(*args, **kwargs)
                errors[index, column] += float((seen["out"] - exact).double().square().sum())
            for op in modules[index].operations:
                op.formats, op.mode = None, Mode.FLOAT

        return hook

    handles = [watch(module) for module in modules]
    for index, module in enumerate(modules):
        found = quantized.model.get_submodule(module.name)
        handles.append(found.register_forward_hook(rerun(index, found), with_kwargs=True))
    try:
        with torch.no_grad(), one_thread(device):
            for start in range(0, len(images), BATCH):
                quantized.model(images[start : start + BATCH].to(device))
    finally:
        for handle in handles:
            handle.remove()
    return norms / len(images), errors / len(images)
