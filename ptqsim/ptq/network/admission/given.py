"""The networks that are taken: float parameters with values, outside of the modes of torch that change results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import torch
from torch import nn

from ptqsim.errors import ArgumentTypeError
from ptqsim.ptq.network.products.operations import MatmulOperation

DTYPES: Final = (torch.float32, torch.float64)


def check_network(model: object) -> None:
    """Refuse what is no network of float parameters on one device, in one line.

    Raises
    ------
    TypeError
        Where it is no nn.Module, or one with quantized layers, such as a QuantizedModel.
    ValueError
        Where it has no parameters, is compiled or scripted, or has parameters of another type than float32 or float64,
        of several types, or on several devices.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentTypeError(f"the model is a {type(model).__name__}; legal is the float network, an nn.Module")
    for name, module in model.named_modules():
        if isinstance(module, MatmulOperation):
            raise ArgumentTypeError(
                f"the model is a {type(model).__name__}; legal is the float network, and layer {name!r} of this one is "
                "quantized already: give the network that it was made from"
            )
        what = f"module {name!r} of the model" if name else "the model"
        if isinstance(module, torch.jit.ScriptModule):
            raise ValueError(f"{what} is a script of torch.jit, in which no layer can be replaced: give the original")
        if type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None:
            raise ValueError(
                f"{what} is compiled by torch.compile, so that no layer can be replaced: give the network as it was "
                "before (model._orig_mod), and compile none of its modules"
            )
    first: tuple[str, torch.Tensor] | None = None
    for name, tensor in model.named_parameters():
        if tensor.dtype not in DTYPES:
            raise ValueError(
                f"parameter {name!r} of the model is {tensor.dtype}; legal are torch.float32 and torch.float64: try "
                "model.float()"
            )
        first = first or (name, tensor)
        if tensor.dtype != first[1].dtype or tensor.device != first[1].device:
            raise ValueError(
                f"parameter {name!r} of the model is {tensor.dtype} on {tensor.device}, but {first[0]!r} is "
                f"{first[1].dtype} on {first[1].device}; legal is one type on one device: try model.float().to('cpu')"
            )
    if first is None:
        raise ValueError(f"the model ({type(model).__name__}) has no parameters; expected a timm vision transformer")


def check_values(model: nn.Module) -> None:
    """Refuse a network whose parameters or buffers have no values, or values that are NaN or infinite.

    Raises
    ------
    ValueError
        It names the parameter, and says how many of its values are meant and where the first is.
    """
    for name, tensor in stored_tensors(model).items():
        if tensor.is_meta:
            raise ValueError(
                f"parameter {name!r} of the model is on the meta device and has no values: build the model on the cpu "
                "and load its weights"
            )
        if tensor.is_floating_point():
            check_finite(f"parameter {name!r} of the model", tensor)


def check_finite(what: str, tensor: torch.Tensor) -> None:
    """Refuse NaN and infinite values; the error says how many there are, of which kind, and where the first is."""
    bad = ~torch.isfinite(tensor)
    count = int(bad.sum())
    if count:
        first = tuple(bad.nonzero()[0].tolist())
        raise ValueError(
            f"{count} of {tensor.numel()} values of {what} are NaN or infinite, the first is {float(tensor[first])} at "
            f"index {first}: load the weights anew, from a file that is whole"
        )


@contextmanager
def default_modes() -> Iterator[None]:
    """Gradients as by default, and neither inference mode nor autocast, whatever the caller has set."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(no_autocast())
        yield


@contextmanager
def no_autocast() -> Iterator[None]:
    """Products in the type of their operands, whatever the caller has set."""
    with ExitStack() as stack:
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


def stored_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and persistent buffers by the names that they have in ``model.state_dict()``, past its hooks."""
    found: dict[str, torch.Tensor] = {}
    for prefix, module in model.named_modules(remove_duplicate=False):
        skipped = module._non_persistent_buffers_set
        buffers = {name: buffer for name, buffer in module._buffers.items() if name not in skipped}
        for name, tensor in (module._parameters | buffers).items():
            if tensor is not None:
                found[f"{prefix}.{name}" if prefix else name] = tensor.detach()
    return found


def ordinary(images: torch.Tensor) -> torch.Tensor:
    """Images without a history of gradients; those that were made in inference mode are copied."""
    return images.clone() if images.is_inference() else images.detach()
