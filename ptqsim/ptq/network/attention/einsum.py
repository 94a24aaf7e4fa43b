"""A sum over products of two tensors, as ``torch.einsum`` writes it, as one batched matrix product."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

MatrixProduct = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def einsum(equation: str, a: torch.Tensor, b: torch.Tensor, product: MatrixProduct) -> torch.Tensor:
    """The value of ``torch.einsum(equation, a, b)``, from one batched matrix product.

    Parameters
    ----------
    equation : str
        Two operands and a result, one letter per axis; every axis that the result has not is in both operands.
    a, b : float tensor
        The first axis of ``a`` are images, and stays the first of what is multiplied.
    product : callable
        From [..., M, K] and [..., K, N] to [..., M, N].

    Raises
    ------
    ValueError
        For equations of another form.
    """
    inputs, arrow, result = equation.replace(" ", "").partition("->")
    left, comma, right = inputs.partition(",")
    summed = [x for x in left if x in right and x not in result]
    batch = [x for x in left if x in right and x in result]
    if batch and left[0] in result and left[0] not in right:
        batch = [left[0], *batch]  # images come first, and b is the same for all of them
    rows = [x for x in left if x not in summed and x not in batch]
    columns = [x for x in right if x not in summed and x not in batch]
    known = [*batch, *rows, *columns]
    fits = (len(left), len(right)) == (a.ndim, b.ndim) and sorted(known) == sorted(result)
    if not (arrow and comma and summed and fits):
        raise ValueError(f"einsum {equation!r} is no matrix product of two operands: an adapter has to write it as one")
    size = dict(zip(left + right, (*a.shape, *b.shape), strict=True))
    images = [x for x in batch if x not in right]
    a = a.permute([left.index(x) for x in (*batch, *rows, *summed)])
    b = b.permute([right.index(x) for x in (*batch, *summed, *columns) if x not in images])
    lead = [size[x] for x in batch]
    b = b.expand(*lead, *b.shape[len(batch) - len(images) :])
    out = product(
        a.reshape(*lead, math.prod(size[x] for x in rows), -1),
        b.reshape(*lead, -1, math.prod(size[x] for x in columns)),
    )
    out = out.reshape([size[x] for x in known])
    return out.permute([known.index(x) for x in result])
