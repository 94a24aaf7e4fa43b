"""The structure of an architecture, found on torch's meta device, where a network of any size costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from ptqsim.ptq.network.admission.unsupported import ProductCount, refuse_stray_products
from ptqsim.ptq.network.input_size import input_size
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.network.wrapping.wrap import wrap

CLASSES: Final = 10
"""Of every classifier that is built, where its architecture lets them be chosen."""


@dataclass(frozen=True)
class Structure:
    """Size of an architecture, and what it has in common with others.

    Attributes
    ----------
    parameters : int
    signature : frozenset of str
        The classes of its modules with their options that are no numbers.  Architectures of one signature differ in
        size only.
    refused : str
        Why timm can't build it; empty where it can.
    """

    parameters: int = 0
    signature: frozenset[str] = frozenset()
    refused: str = ""


def structure(name: str) -> Structure:
    """Build an architecture at its own size, without values."""
    try:
        model = build(name, "meta")
    except Exception as error:  # whatever timm raises
        return Structure(refused=f"timm can't build it: {first_line(error)}")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Structure(parameters, frozenset(_described(module) for module in model.modules()))


def products(name: str) -> tuple[int, str]:
    """Number of products of an architecture at its own size, and what refuses it, empty where nothing does.

    They are counted by a watch on the network; its wrapped copy is run with another one, in which each of them has to
    be an operation.
    """
    counted = ProductCount()
    try:
        model = build(name, "meta")
        images = torch.empty(1, *input_size(model), device="meta")
        with torch.no_grad(), counted:
            model(images)
        wrapped, _ = wrap(model)
        with torch.no_grad(), refuse_stray_products(wrapped), _ran(wrapped) as ran:
            wrapped(images)
        return counted.count, _uncounted(counted.count, ran)
    except Exception as error:
        return counted.count, first_line(error)


def build(name: str, device: str, **arguments: Any) -> nn.Module:
    """A network of timm with random weights, or none on the meta device, in evaluation mode."""
    import timm

    with torch.device(device), _Uninitialized() if device == "meta" else nullcontext():
        model: nn.Module = timm.create_model(name, pretrained=False, num_classes=CLASSES, **arguments)
    return model.eval()


class _Uninitialized(TorchFunctionMode):
    """Leaves out what fills a tensor without values: torch works that out in Python, at length."""

    _FILLS: Final = frozenset(
        {
            torch.Tensor.uniform_, torch.Tensor.normal_, torch.Tensor.erfinv_, torch.Tensor.clamp_,
            torch.Tensor.mul_, torch.Tensor.add_, torch.Tensor.fill_, torch.Tensor.zero_, torch.Tensor.copy_,
        }
    )  # fmt: skip

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return args[0] if func in self._FILLS and args[0].is_meta else func(*args, **(kwargs or {}))


@contextmanager
def _ran(wrapped: nn.Module) -> Iterator[list[str]]:
    """Names of the operations that run, as often as they do."""
    ran: list[str] = []
    operations = [module for module in wrapped.modules() if isinstance(module, MatmulOperation)]
    handles = [op.register_forward_hook(lambda module, *_: ran.append(module.name)) for op in operations]
    try:
        yield ran
    finally:
        for handle in handles:
            handle.remove()


def _uncounted(products: int, ran: list[str]) -> str:
    twice = next((name for name in ran if ran.count(name) > 1), None)
    if twice is not None:
        return f"layer {twice!r} runs more than once in the forward pass"
    return "" if len(ran) == products else f"of {products} products that were counted {len(ran)} are operations"


def _described(module: nn.Module) -> str:
    options = sorted(
        f"{key}={value}"
        for key, value in vars(module).items()
        if not key.startswith("_") and key != "training" and (value is None or isinstance(value, bool | str))
    )
    if isinstance(module, nn.Conv2d):
        options.append(f"grouped={module.groups > 1}")
    return f"{type(module).__module__}.{type(module).__qualname__} {' '.join(options)}"


def first_line(error: BaseException) -> str:
    """The first line of an error, or its class."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
