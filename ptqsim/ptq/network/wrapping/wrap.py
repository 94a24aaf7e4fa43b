"""Finds every matrix product of a network and replaces it by an operation; refuses a model with any it can't."""

from __future__ import annotations

import copy

from torch import nn

from ptqsim.ptq.network.admission.alterations import alteration, left_out, reaches_back, shared_modules
from ptqsim.ptq.network.admission.unsupported import StrayProductError, first_stray_product
from ptqsim.ptq.network.attention.adapters import LEFT_OUT, Adapters
from ptqsim.ptq.network.convolutions.kinds import Conv1dOperation, TransposedConvOperation
from ptqsim.ptq.network.convolutions.operation import ConvOperation
from ptqsim.ptq.network.products.operations import InputKind, LinearOperation, MatmulOperation, PatchOperation
from ptqsim.ptq.network.tasks.task import task_of
from ptqsim.ptq.network.wrapping.after_gelu import layers_after_gelu

_CONVOLUTIONS = (nn.Conv2d, nn.Conv1d, nn.ConvTranspose2d)


def wrap(model: nn.Module) -> tuple[nn.Module, dict[str, MatmulOperation]]:
    """A copy of the model whose matrix products are operations.

    Parameters
    ----------
    model : nn.Module
        A vision transformer of timm (docs/models.md) or a :class:`~ptqsim.ptq.network.detr.detector.Detector`.  It is
        left as it is.

    Returns
    -------
    wrapped : nn.Module
        In float mode it computes what ``model`` does, up to the rounding of float32 sums; within
        :func:`~ptqsim.ptq.network.products.as_given.sums_as_given` to the last bit.
    operations : dict of str to MatmulOperation
        By dotted name, in the order of execution.

    Raises
    ------
    ValueError
        Where a matrix product is not one of the supported ones, or of a layer that something changes or that stands in
        the network twice; it names the first, in the order of execution.
    """
    adapters = task_of(model).adapters()
    refused = _altered_layers(model, adapters)
    if not refused and (found := reaches_back(model)) is not None:
        raise _reaching_back(*found)
    if shared := shared_modules(model, (nn.Linear, nn.modules.conv._ConvNd, *adapters)):
        raise _shared(*next(iter(shared.items())))
    wrapped = _copy(model, refused).eval()
    gelu_inputs = layers_after_gelu(wrapped)
    # from the inside out: attention is replaced when its layers are
    for name, module in reversed([pair for pair in wrapped.named_modules() if pair[0] not in refused]):
        try:
            replacement = _replacement(name, module, gelu_inputs, adapters)
        except ValueError as error:
            refused[name] = error
            continue
        if replacement is not None:
            _set(wrapped, name, replacement)
    if refused:
        first = next(refused[name] for name, _ in model.named_modules() if name in refused)
        stray = first_stray_product(wrapped)
        raise first if stray is None else _reason(stray, refused)
    operations = {m.name: m for m in wrapped.modules() if isinstance(m, MatmulOperation)}
    if not operations:
        raise ValueError(
            f"the model ({type(model).__name__}) has no matrix product to quantize; expected a timm vision transformer"
        )
    return wrapped, operations


def _altered_layers(model: nn.Module, adapters: Adapters) -> dict[str, ValueError]:
    """The errors for layers that would be replaced, and compute something else than their class says."""
    found: dict[str, ValueError] = {}
    for name, module in model.named_modules():
        base = next((kind for kind in (*adapters, nn.Linear, *_CONVOLUTIONS) if isinstance(module, kind)), None)
        if base is None or (base in adapters and type(module) is not base and base not in _CONVOLUTIONS):
            continue
        what = alteration(module, base) or left_out(module, LEFT_OUT)
        if what is not None:
            found[name] = ValueError(
                f"operation {name!r} {what}; quantizing replaces the layer, and this would be lost"
            )
    return found


def _copy(model: nn.Module, refused: dict[str, ValueError]) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except (RuntimeError, TypeError) as error:  # weights that a hook computes, locks, open files
        if refused:
            raise next(iter(refused.values())) from None
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"the model can't be copied ({reason}): give one that copy.deepcopy takes, with parameters that are no "
            "outputs of operations"
        ) from None


def _reaching_back(name: str, what: str) -> ValueError:
    module = f"module {name!r} of the model" if name else "the model"
    return ValueError(
        f"{module} has {what} that refers to the model itself: its quantized copy would go on to run the float layers; "
        "remove it (del module.forward, handle.remove()), or make it a method of a class"
    )


def _shared(name: str, first: str) -> ValueError:
    return ValueError(
        f"operation {name!r} is the same module as {first!r}, and one format can't serve inputs of different sizes: "
        "give each place a module of its own (copy.deepcopy)"
    )


def _reason(stray: StrayProductError, refused: dict[str, ValueError]) -> ValueError:
    """Error of the refused layer that the stray product is in, or else of the stray product itself."""
    inside = (error for name, error in refused.items() if f"{stray.name}.".startswith(f"{name}."))
    return next(inside, stray)


def _replacement(name: str, module: nn.Module, gelu_inputs: set[str], adapters: Adapters) -> nn.Module | None:
    if type(module) in adapters:
        return adapters[type(module)](name, module)
    a_kind: InputKind = "gelu" if name in gelu_inputs else "uniform"
    if isinstance(module, nn.Linear):
        groups = 3 if name.split(".")[-1] == "qkv" and module.out_features % 3 == 0 else 1
        return LinearOperation(name, module, groups, a_kind)
    if isinstance(module, nn.Conv2d):
        dense = module.dilation == (1, 1) or module.kernel_size == (1, 1)
        plain = dense and module.groups == 1 and module.padding in ((0, 0), "valid")
        if module.kernel_size == module.stride and plain:
            return PatchOperation(name, module, a_kind)
        return ConvOperation(name, module, a_kind)
    if isinstance(module, nn.Conv1d):
        return Conv1dOperation(name, module)
    if isinstance(module, nn.ConvTranspose2d):
        return TransposedConvOperation(name, module)
    # timm marks every module that multiplies matrices inside its own forward by this attribute
    if hasattr(module, "fused_attn") or isinstance(module, nn.MultiheadAttention):
        _refuse(name, f"an attention of type {type(module).__name__}")
    if isinstance(module, (nn.modules.conv._ConvNd, nn.Bilinear, nn.RNNBase)):
        _refuse(name, f"a {type(module).__name__}")
    return None


def _refuse(name: str, what: str) -> None:
    raise ValueError(
        f"operation {name!r} is {what}, which is not supported; supported are fully-connected layers, "
        "convolutions and the attention modules of the models that docs/models.md lists: choose one of them, or add "
        "the module to the table in ptqsim/ptq/network/attention/timm_modules.py"
    )


def _set(root: nn.Module, name: str, replacement: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(root.get_submodule(parent), leaf, replacement)
