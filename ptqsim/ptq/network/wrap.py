"""Finds every matrix product of a network and replaces it by an operation; refuses a model with any it can't."""

from __future__ import annotations

import copy

from timm.layers.mlp import Mlp
from torch import nn

from ptqsim.ptq.network.adapters import Adapters
from ptqsim.ptq.network.operations import InputKind, LinearOperation, MatmulOperation, PatchOperation
from ptqsim.ptq.network.task import task_of
from ptqsim.ptq.network.unsupported import first_stray_product


def wrap(model: nn.Module) -> tuple[nn.Module, dict[str, MatmulOperation]]:
    """A copy of the model whose matrix products are operations.

    Parameters
    ----------
    model : nn.Module
        A timm vision transformer (ViT, DeiT or Swin) or a :class:`~ptqsim.ptq.network.detr.detector.Detector`.  It is
        left as it is.

    Returns
    -------
    wrapped : nn.Module
        In float mode it computes what ``model`` does, up to the rounding of float32 sums.
    operations : dict of str to MatmulOperation
        By dotted name, in the order of execution.

    Raises
    ------
    ValueError
        Where a matrix product is not one of the supported ones; it names the first, in the order of execution.
    """
    wrapped = copy.deepcopy(model).eval()
    gelu_inputs = _linears_after_gelu(wrapped)
    adapters = task_of(wrapped).adapters()
    refused: dict[str, ValueError] = {}
    for name, module in list(wrapped.named_modules()):
        try:
            replacement = _replacement(name, module, gelu_inputs, adapters)
        except ValueError as error:
            refused[name] = error
            continue
        if replacement is not None:
            _set(wrapped, name, replacement)
    if refused:
        stray = first_stray_product(wrapped)
        raise next(iter(refused.values())) if stray is None else refused.get(stray.name, stray)
    operations = {m.name: m for m in wrapped.modules() if isinstance(m, MatmulOperation)}
    if not operations:
        raise ValueError(
            f"the model ({type(model).__name__}) has no matrix product to quantize; expected a timm vision transformer"
        )
    return wrapped, operations


def _replacement(name: str, module: nn.Module, gelu_inputs: set[str], adapters: Adapters) -> nn.Module | None:
    if type(module) in adapters:
        return adapters[type(module)](name, module)
    if isinstance(module, nn.Linear):
        groups = 3 if name.split(".")[-1] == "qkv" else 1
        a_kind: InputKind = "gelu" if name in gelu_inputs else "uniform"
        return LinearOperation(name, module, groups, a_kind)
    if isinstance(module, nn.Conv2d):
        if module.kernel_size == module.stride and module.groups == 1 and module.padding in ((0, 0), "valid"):
            return PatchOperation(name, module)
        _refuse(name, f"a convolution with kernel {module.kernel_size}, stride {module.stride}, groups {module.groups}")
    # timm marks every module that multiplies matrices inside its own forward by this attribute
    if hasattr(module, "fused_attn") or isinstance(module, nn.MultiheadAttention):
        _refuse(name, f"an attention of type {type(module).__name__}")
    if isinstance(module, (nn.modules.conv._ConvNd, nn.Bilinear, nn.RNNBase)):
        _refuse(name, f"a {type(module).__name__}")
    return None


def _refuse(name: str, what: str) -> None:
    raise ValueError(
        f"operation {name!r} is {what}, which is not supported; supported are fully-connected layers, the patch "
        "projection, and the attention of timm's ViT, DeiT and Swin: choose such a model, or write an adapter for it "
        "(ptqsim/ptq/network/adapters.py)"
    )


def _linears_after_gelu(model: nn.Module) -> set[str]:
    """Names of the fully-connected layers whose input is the output of a GELU, with nothing in between."""
    return {
        f"{name}.fc2" if name else "fc2"
        for name, module in model.named_modules()
        if isinstance(module, Mlp) and isinstance(module.act, nn.GELU) and isinstance(module.norm, nn.Identity)
    }


def _set(root: nn.Module, name: str, replacement: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(root.get_submodule(parent), leaf, replacement)
