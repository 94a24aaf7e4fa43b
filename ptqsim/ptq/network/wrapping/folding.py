"""Factors and rotations moved from some parameters of a network into others: the same function, but for rounding."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ptqsim.ptq.network.wrapping.parameters import layer_with, shift
from ptqsim.ptq.network.wrapping.rotating import HeadRotation, StreamRotation, rotate_heads, rotate_stream
from ptqsim.ptq.threads import one_thread


@dataclass(frozen=True, eq=False)
class Folding:
    """Channels y of the output of a normalization layer replaced by (y - constant) / factor, the next layers to match.

    Attributes
    ----------
    norm : str
        Name of the normalization layer.
    linears : tuple of str
        Names of all layers that read its output; they are linear and read nothing else.
    factors : float tensor [C]
        Positive, one per channel.
    constants : float tensor [C] or None
        None for zeros.
    """

    norm: str
    linears: tuple[str, ...]
    factors: torch.Tensor
    constants: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class HeadFolding:
    """Channels of Q divided by factors and those of K multiplied by them; channels of V likewise into the projection.

    Attributes
    ----------
    qkv, proj : str
        Names of the linear layers: the one that gives Q, K and V, one after the other, and the one that reads P V.
    scores : float tensor [C]
        Positive factors of the channels of Q.
    values : float tensor [C]
        Positive factors of the channels of V.
    """

    qkv: str
    proj: str
    scores: torch.Tensor
    values: torch.Tensor


AnyFolding = Folding | HeadFolding | StreamRotation | HeadRotation


def folded(model: nn.Module, foldings: Iterable[AnyFolding]) -> nn.Module:
    """A copy of a network with factors moved: it computes the same function, but for rounding.

    Parameters
    ----------
    model : nn.Module
    foldings : iterable of Folding, HeadFolding, StreamRotation and HeadRotation

    Returns
    -------
    nn.Module

    Raises
    ------
    ValueError
        Where the network has no such layers, or they have another number of channels.
    """
    copied = deepcopy(model)
    modules, parameters = dict(copied.named_modules()), dict(copied.named_parameters())
    with torch.no_grad(), one_thread():  # the order of sums in a product of matrices may depend on the threads
        for folding in foldings:
            match folding:
                case HeadFolding():
                    _balance(modules, folding)
                case StreamRotation():
                    rotate_stream(modules, parameters, folding)
                case HeadRotation():
                    rotate_heads(modules, folding)
                case _:
                    _divide(modules, folding)
    return copied


def _divide(modules: dict[str, nn.Module], folding: Folding) -> None:
    norm = layer_with(modules, folding.norm, len(folding.factors))
    factors = folding.factors.to(norm.weight)
    linears = [layer_with(modules, name, len(folding.factors)) for name in folding.linears]
    if folding.constants is not None:
        shift(norm, linears, folding.constants)
    norm.weight.div_(factors)
    if getattr(norm, "bias", None) is not None:
        norm.bias.div_(factors)
    for linear in linears:
        linear.weight.mul_(factors)


def _balance(modules: dict[str, nn.Module], folding: HeadFolding) -> None:
    scores, values = folding.scores, folding.values
    proj = layer_with(modules, folding.proj, len(values))
    qkv: Any = modules.get(folding.qkv)
    if qkv is None or getattr(qkv, "out_features", 0) != 3 * len(scores):
        raise ValueError(
            f"factors of {len(scores)} channels were to be moved between queries and keys of {folding.qkv!r}, and the "
            "network has no such layer: name the network that it was calibrated from"
        )
    rows = torch.cat([1 / scores, scores, 1 / values]).to(qkv.weight)  # of Q, K and V
    qkv.weight.mul_(rows[:, None])
    if qkv.bias is not None:
        qkv.bias.mul_(rows)
    proj.weight.mul_(values.to(proj.weight))
