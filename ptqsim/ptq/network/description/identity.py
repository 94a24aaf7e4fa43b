"""The identity of a network: a fingerprint of its weights and of everything else in it that decides its outputs."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Final

import torch
from torch import nn

from ptqsim.common import fingerprint
from ptqsim.ptq.network.admission.given import stored_tensors

_VERSIONED: Final = ("ptqsim", "timm", "torch", "torchvision", "transformers")
"""Packages whose code is known by other means: their versions, or `ptqsim.common.fingerprint.arithmetic`."""


_IGNORED: Final = frozenset({*vars(nn.Module()), "name_or_path"})
"""Attributes that every module has (parameters, hooks, training mode), and the origin of transformers' models."""


def tensors_fingerprint(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """SHA-256 of named tensors, in the order of their names: names, data types, shapes and bytes."""
    return fingerprint.arrays(_array(name, tensor) for name, tensor in tensors)


def weights_fingerprint(network: nn.Module) -> str:
    """SHA-256 of the weights, names and shapes included."""
    return tensors_fingerprint(stored_tensors(network).items())


def network_fingerprint(network: nn.Module) -> str:
    """SHA-256 of a network: weights, buffers that aren't saved, and classes and settings of all modules.

    Two networks with the same weights may have other heads, another activation, or another epsilon; none of these is in
    the weights, and each changes what a calibration sees.  Of classes that come from no versioned package the source
    counts, where it can be read.
    """
    modules = {name: _described(module) for name, module in network.named_modules()}
    buffers = tensors_fingerprint(network.named_buffers())
    return fingerprint.value([weights_fingerprint(network), buffers, modules])


def _array(name: str, tensor: torch.Tensor) -> tuple[str, Any]:
    values = tensor.detach().cpu().contiguous()
    # NumPy has no bfloat16, and no floats of 8 bits
    if values.dtype == torch.bfloat16 or (values.dtype.itemsize == 1 and values.is_floating_point()):
        return f"{name}:{values.dtype}", values.reshape(-1).view(torch.uint8).numpy().reshape(*values.shape, -1)
    return name, values.numpy()


def _described(module: nn.Module) -> dict[str, Any]:
    kind = type(module)
    found = {name: plain_settings(value) for name, value in vars(module).items() if name not in _IGNORED}
    return {"class": _named(kind), "source": own_source(kind), "settings": found}


def plain_settings(value: object) -> Any:
    """A setting as a value of JSON's types; of an object that has no plain value its class."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.dtype | torch.device):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        inner = [plain_settings(entry) for entry in value]
        return sorted(map(str, inner)) if isinstance(value, set | frozenset) else inner
    if isinstance(value, Mapping):
        return {str(key): plain_settings(inner) for key, inner in value.items()}
    if isinstance(value, torch.Tensor):
        return tensors_fingerprint([("", value)])
    return _named(value if callable(value) and hasattr(value, "__qualname__") else type(value))


def _named(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def own_source(kind: type) -> str:
    """The source of a class that comes from no versioned package, where it can be read; else an empty text."""
    if kind.__module__.partition(".")[0] in _VERSIONED:
        return ""
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ""
