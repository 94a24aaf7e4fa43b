"""Refusal of networks with a matrix product that wrapping did not see, found by watching the network run.

Wrapping knows modules; a module can also multiply matrices by calling torch itself.  During capture every such call
outside of an operation is an error, so that no product of a network is left unquantized without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ptqsim.ptq.network.input_size import input_size
from ptqsim.ptq.network.products.operations import MatmulOperation

_PRODUCTS: Final = frozenset(
    {
        torch.matmul, torch.linalg.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.Tensor.__rmatmul__,
        torch.mm, torch.Tensor.mm, torch.mv, torch.Tensor.mv, torch.bmm, torch.Tensor.bmm, torch.inner,
        torch.Tensor.inner, torch.linalg.multi_dot, torch.chain_matmul,
        torch.addmm, torch.Tensor.addmm, torch.addmv, torch.Tensor.addmv, torch.addbmm, torch.Tensor.addbmm,
        torch.baddbmm, torch.Tensor.baddbmm, torch.einsum, torch.tensordot, F.linear, F.bilinear,
        torch.conv1d, torch.conv2d, torch.conv3d, F.conv1d, F.conv2d, F.conv3d,
        F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d, F.scaled_dot_product_attention,
        F.multi_head_attention_forward, torch._native_multi_head_attention,
        torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu,
    }
)  # fmt: skip


_SEVERAL: Final = {F.scaled_dot_product_attention: 2, F.multi_head_attention_forward: 4}


class ProductCount(TorchFunctionMode):
    """Counts the matrix products that are asked of torch while it is entered, in ``count``."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _PRODUCTS:
            self.count += _SEVERAL.get(func, 1)
        return func(*args, **(kwargs or {}))


class StrayProductError(ValueError):
    """A matrix product outside of every operation; ``name`` is that of its module, empty for the network itself."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def first_stray_product(network: nn.Module) -> StrayProductError | None:
    """The error for the first stray product in the order of execution, found without computing anything.

    The network is run on torch's meta device, and is of no use afterwards.  None where it has no stray product, or
    can't be run there.
    """
    try:
        with torch.no_grad(), refuse_stray_products(network.to("meta")):
            network(torch.empty(1, *input_size(network), device="meta"))
    except StrayProductError as error:
        return error
    except Exception:  # whatever a foreign network raises
        return None
    return None


@contextmanager
def refuse_stray_products(network: nn.Module) -> Iterator[None]:
    """Within it, a matrix product outside of every operation of the network is a StrayProductError."""
    running: list[tuple[str, nn.Module]] = []
    handles = []
    for name, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(_enter(name, running)))
        handles.append(module.register_forward_hook(lambda *_: _leave(running), always_call=True))
    try:
        with _Watch(running):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _enter(name: str, running: list[tuple[str, nn.Module]]) -> Callable[[nn.Module, Any], None]:
    def enter(module: nn.Module, args: Any) -> None:
        running.append((name, module))

    return enter


def _leave(running: list[tuple[str, nn.Module]]) -> None:
    running.pop()


class _Watch(TorchFunctionMode):
    def __init__(self, running: list[tuple[str, nn.Module]]) -> None:
        super().__init__()
        self.running = running

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name, module = self.running[-1] if self.running else ("", None)
        if func in _PRODUCTS and not isinstance(module, MatmulOperation):
            what = f"operation {name!r} ({type(module).__name__})" if name else "the network itself"
            raise StrayProductError(
                name,
                f"{what} multiplies matrices by {getattr(func, '__name__', func)}, which is not supported, as it would "
                "stay unquantized; supported are the networks that docs/models.md lists: choose one of them, or add "
                "the module to the table in ptqsim/ptq/network/attention/timm_modules.py",
            )
        return func(*args, **(kwargs or {}))
