"""A product of two activations of any shape as an operation, with one group per head or one for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from ptqsim.ptq.network.products.operations import Kind, MatmulOperation


@dataclass(frozen=True)
class Product:
    """One product of a module's forward.

    Attributes
    ----------
    name : str
        Of the operation, within the module.
    kind : Kind
        ``matmul_qk`` for scores, ``matmul_pv`` for what they weigh, ``matmul`` for all others.
    softmax : {"", "left", "right"}
        The operand that is the output of a softmax.  One on the right becomes the left one of the transposed product,
        as the twin format is of left operands.
    by_head : bool
        Whether every head is a group of its own.
    axis : int
        Where the heads are, in tensors of four axes or more; in tensors of three they are the fast part of axis 0.
    """

    name: str
    kind: Kind = "matmul"
    softmax: Literal["", "left", "right"] = ""
    by_head: bool = True
    axis: int = 1


class ActivationMatmul(MatmulOperation):
    """A product of activations, batched and broadcast as torch does.

    Parameters
    ----------
    name : str
    product : Product
    heads : int
        Of the module; one group each where the product is by head.
    """

    def __init__(self, name: str, product: Product, heads: int) -> None:
        super().__init__(name, product.kind, "softmax" if product.softmax else "uniform")
        self.heads = heads if product.by_head else 1
        self.axis = product.axis
        self.transposed = product.softmax == "right"

    @property
    def groups(self) -> tuple[int, int]:
        return self.heads, self.heads

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """a [..., M, K] @ b [..., K, N] -> [..., M, N]."""
        if self.transposed:
            a, b = b.transpose(-2, -1), a.transpose(-2, -1)
        left, right = self._grouped(a), self._grouped(b)
        lead = torch.broadcast_shapes(left.shape[1:-2], right.shape[1:-2])
        out = self.product(_spread(left, lead), _spread(right, lead))
        out = self._ungrouped(out, max(a.ndim, b.ndim))
        return (out.transpose(-2, -1) if self.transposed else out).contiguous()  # as torch gives it

    def _grouped(self, x: torch.Tensor) -> torch.Tensor:
        """x -> [heads, images, ..., rows, columns]."""
        x = x[None] if x.ndim == 2 else x
        if self.heads == 1:
            return x[None]
        if x.ndim == 3:
            return x.reshape(-1, self.heads, *x.shape[1:]).transpose(0, 1)
        return x.movedim(self.axis, 0).expand(self.heads, *[-1] * (x.ndim - 1))

    def _ungrouped(self, out: torch.Tensor, axes: int) -> torch.Tensor:
        if self.heads == 1:
            return out[0, 0] if axes == 2 else out[0]
        return out.transpose(0, 1).flatten(0, 1) if axes == 3 else out.movedim(0, self.axis)


def _spread(x: torch.Tensor, lead: torch.Size) -> torch.Tensor:
    """x [G, ..., M, K] with its middle axes expanded to ``lead``."""
    missing = len(lead) + 3 - x.ndim
    x = x.reshape(x.shape[0], *[1] * missing, *x.shape[1:])
    return x.expand(x.shape[0], *lead, *x.shape[-2:])
