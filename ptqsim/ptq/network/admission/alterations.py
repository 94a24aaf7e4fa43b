"""Layers that compute something else than their class says, found by looking at the modules of a network.

Wrapping replaces a layer by what its class computes from its parameters.  A hook, a patched or overridden forward, a
parametrization or a pruning mask would be lost on the way, and the quantized network would be another one.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from types import FunctionType, MethodType
from typing import Final

import torch
from torch import nn
from torch.nn.utils import parametrize

_HOOKS: Final = {
    "_forward_pre_hooks": "a forward pre-hook",
    "_forward_hooks": "a forward hook",
    "_backward_pre_hooks": "a backward pre-hook",
    "_backward_hooks": "a backward hook",
}
RECORDER: Final = "transformers.utils.output_capturing"
"""Module of hooks that transformers leaves on a layer once its attention was read; they change nothing."""
_METHODS: Final = ("forward", "__call__", "_conv_forward", "_get_rel_pos_bias")


def alteration(module: nn.Module, base: type[nn.Module]) -> str | None:
    """In words how a module departs from what its class computes, and what to do about it; None where it does not.

    Parameters
    ----------
    module : nn.Module
        An instance of ``base``.
    base : type
        The class whose forward is what the module is taken for.
    """
    if parametrize.is_parametrized(module):
        names = list(module.parametrizations)  # type: ignore[arg-type]
        return (
            f"has a parametrization of its {names[0]}: try torch.nn.utils.parametrize.remove_parametrizations(layer, "
            f"{names[0]!r}), which keeps the value that it has now"
        )
    for tensor in ("weight", "bias"):
        if hasattr(module, f"{tensor}_mask"):
            return f"has a pruned {tensor}: try torch.nn.utils.prune.remove(layer, {tensor!r})"
        if hasattr(module, f"{tensor}_g") or hasattr(module, f"{tensor}_orig"):
            return (
                f"has a {tensor} that a hook computes: try torch.nn.utils.remove_weight_norm(layer) or "
                "remove_spectral_norm(layer)"
            )
    for attribute, what in _HOOKS.items():
        hooks = (getattr(module, attribute, None) or {}).values()
        if any(getattr(hook, "__module__", None) != RECORDER for hook in hooks):
            return f"has {what}: remove it by the handle that registering it returned"
    for method in _METHODS:
        if method in vars(module):
            return f"has a {method} of its own, set on the module: try del layer.{method}"
        if getattr(type(module), method, None) is not getattr(base, method, None):
            return (
                f"is a {type(module).__name__}, a subclass of {base.__name__} with a {method} of its own: merge what "
                f"it adds into the weight of a plain {base.__name__}"
            )
    if getattr(module, "_compiled_call_impl", None) is not None:
        return "is compiled: build the model anew, and call compile only for what is not quantized"
    return _altered_weight(module)


def _altered_weight(module: nn.Module) -> str | None:
    for name in ("weight", "bias"):
        if not isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            break
        tensor = getattr(module, name, None)
        if tensor is None and name == "bias":
            continue
        if module._parameters.get(name) is not tensor or tensor is None:
            return f"has a {name} that is no parameter: make it an nn.Parameter"
        if isinstance(tensor, nn.parameter.UninitializedParameter | nn.parameter.UninitializedBuffer):
            return "has no weight yet: run the network once, so that lazy layers find their shapes"
        if type(tensor.data) is not torch.Tensor:
            return f"has a {name} of type {type(tensor.data).__name__}: make it a plain tensor of floats"
    return None


def reaches_back(model: nn.Module) -> tuple[str, str] | None:
    """The first function, set on a module or registered as its hook, that refers to a module of the network itself.

    A copy of the network shares its functions, which would go on to run the layers of the original. Bound methods and
    partial functions are copied with what they are bound to.

    Returns
    -------
    tuple of (str, str) or None
        Name of the module, and in words the function.
    """
    own = {id(module) for module in model.modules()}
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute in _HOOKS:
                if any(_refers_to(hook, own) for hook in (value or {}).values()):
                    return name, _HOOKS[attribute]
            elif isinstance(value, FunctionType) and _refers_to(value, own):
                return name, f"a {attribute} of its own, set on the module,"
    return None


def _refers_to(function: object, modules: set[int], depth: int = 3) -> bool:
    """True if a function holds one of these modules, or a method of one, in its closure, defaults or globals."""
    if not isinstance(function, FunctionType) or function.__module__ == RECORDER:
        return False
    cells = inspect.getclosurevars(function).nonlocals.values()
    named = [function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__]
    for value in (*cells, *named, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
        owner = value.__self__ if isinstance(value, MethodType) else value
        if isinstance(owner, nn.Module) and id(owner) in modules:
            return True
        if depth and _refers_to(value, modules, depth - 1):
            return True
    return False


def left_out(module: nn.Module, names: Iterable[str]) -> str | None:
    """The same for sub-modules that a replacement leaves out: dropouts, and a softmax over the last axis."""
    for name in names:
        child = getattr(module, name, None)
        if not isinstance(child, nn.Module):
            continue
        plain = type(child) in (nn.Dropout, nn.Identity) or (type(child) is nn.Softmax and child.dim == -1)
        if not plain:
            return f"has a {type(child).__name__} for its {name}: put the original module back"
        if (what := alteration(child, type(child))) is not None:
            return f"has an altered {name}, which {what}"
    return None


def shared_modules(model: nn.Module, products: tuple[type[nn.Module], ...]) -> dict[str, str]:
    """Second names of modules that multiply matrices and stand in a network under two names: from it to the first."""
    first: dict[int, str] = {}
    shared: dict[str, str] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if id(module) not in first:
            first[id(module)] = name
        elif any(isinstance(part, products) for part in module.modules()):
            shared[name] = first[id(module)]
    return shared
