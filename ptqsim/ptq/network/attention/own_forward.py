"""A module that runs its own forward, in which operations take the place of the products that it asks torch for.

Attention modules of timm differ in rotations, biases, windows and masks, and agree in their products.  So nothing of
them is written again: while such a module runs, `torch.matmul`, `@`, `torch.einsum`, `F.linear` and
`F.scaled_dot_product_attention` go to its operations, one after the other in the order of its calls, which the table
in :mod:`ptqsim.ptq.network.attention.timm_modules` declares.  A call that is not declared is an error, and so is a
declared product that is not called: calibration and the check of float mode refuse what never runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ptqsim.ptq.network.attention.einsum import einsum
from ptqsim.ptq.network.attention.product import ActivationMatmul, Product
from ptqsim.ptq.network.products.as_given import given_sums_wanted, inside_operation
from ptqsim.ptq.network.products.operations import MatmulOperation, WeightOperation


class OwnForward(nn.Module):
    """Mixed into the class of a module by :func:`with_operations`."""

    products: tuple[str, ...]
    """Names of the operations, as attributes, in the order of their calls."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _new, (type(self).__mro__[2],), self.__dict__  # the mixed class has no name to be found by

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        operations = [module for module in self.modules() if isinstance(module, MatmulOperation)]
        if given_sums_wanted() and not any(op.watched or op.mode != "float" for op in operations):
            return super().forward(*args, **kwargs)
        with _Redirected(self):
            return super().forward(*args, **kwargs)


def with_operations(name: str, module: nn.Module, products: Sequence[Product], heads: int) -> nn.Module:
    """The module itself, changed so that its forward multiplies by operations.

    Parameters
    ----------
    name : str
        Of the module in the network.
    module : nn.Module
        Its fully-connected layers and convolutions have to be operations already.
    products : sequence of Product
        In the order of its calls.
    heads : int
        Number of groups of the products by head.
    """
    children = dict(module._modules)
    # in the order of execution: before the last layer, the projection of what the products gave
    layers = [key for key, child in children.items() if child is not None and _multiplies(child)]
    behind = list(children)[list(children).index(layers[-1]) :] if len(layers) > 1 else []
    for key in behind:
        del module._modules[key]
    for product in products:
        setattr(module, product.name, ActivationMatmul(f"{name}.{product.name}", product, heads))
    module._modules.update({key: children[key] for key in behind})
    module.products = tuple(product.name for product in products)  # type: ignore[assignment]
    kind: Any = type(module)
    module.__class__ = _mixed(kind)
    return module


def _multiplies(module: nn.Module) -> bool:
    return any(isinstance(part, MatmulOperation) for part in module.modules())


@functools.cache
def _mixed(kind: Any) -> type[nn.Module]:
    return type(kind.__name__, (OwnForward, kind), {"__module__": kind.__module__})


def _new(kind: Any) -> nn.Module:
    mixed: Any = _mixed(kind)
    made: nn.Module = mixed.__new__(mixed)
    return made


class _Redirected(TorchFunctionMode):
    """Sends products that a module asks torch for to its operations."""

    def __init__(self, module: OwnForward) -> None:
        super().__init__()
        self.module = module
        self.left: Iterator[str] = iter(module.products)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        redirected = None if inside_operation() else _REDIRECTED.get(func)
        if redirected is None:
            return func(*args, **(kwargs or {}))
        return redirected(self, *args, **(kwargs or {}))

    def product(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The next product."""
        name = next(self.left, None)
        if name is None:
            kind = type(self.module).__name__
            raise ValueError(
                f"{kind} multiplies matrices more often than the {len(self.module.products)} times that are known of "
                f"it ({', '.join(self.module.products)}): another version of timm has changed it"
            )
        operation: nn.Module = getattr(self.module, name)
        return operation(a, b)  # type: ignore[no-any-return]

    def reversed_product(self, b: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return self.product(a, b)

    def einsum(self, equation: str, *operands: Any) -> torch.Tensor:
        a, b = operands[0] if len(operands) == 1 else operands
        return einsum(equation, a, b, self.product)

    def linear(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """A product with the weight of one of the module's layers, which has no bias of its own, or with another."""
        for layer in self.module.modules():
            if isinstance(layer, WeightOperation) and layer.weight is weight and layer.bias is None:
                out: torch.Tensor = layer(x)
                break
        else:
            out = self.product(x, weight.transpose(0, 1))
        return out if bias is None else out + bias

    def attention(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        """softmax(Q K^T / sqrt(d) + mask) V, with 1/sqrt(d) applied to the scores (PTQ4ViT Eq. 1)."""
        if enable_gqa:
            key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], -3) for x in (key, value))
        scores = self.product(query, key.transpose(-2, -1)) * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:  # True where a key is seen
            scores = scores.masked_fill(~attn_mask, float("-inf"))
        elif attn_mask is not None:
            scores = scores + attn_mask
        return self.product(scores.softmax(dim=-1), value)


_REDIRECTED: Final[dict[Callable[..., Any], Callable[..., torch.Tensor]]] = {
    **dict.fromkeys(
        (torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.bmm, torch.Tensor.bmm), _Redirected.product
    ),
    torch.Tensor.__rmatmul__: _Redirected.reversed_product,
    torch.einsum: _Redirected.einsum,
    F.linear: _Redirected.linear,
    F.scaled_dot_product_attention: _Redirected.attention,
}
