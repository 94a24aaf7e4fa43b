"""Factors moved from the parameters of a normalization layer into those of the linear layers that read its output."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


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


AnyFolding = Folding | HeadFolding


def folded(model: nn.Module, foldings: Iterable[AnyFolding]) -> nn.Module:
    """A copy of a network with factors moved: it computes the same function, but for rounding.

    Parameters
    ----------
    model : nn.Module
    foldings : iterable of Folding and HeadFolding

    Returns
    -------
    nn.Module

    Raises
    ------
    ValueError
        Where the network has no such layers, or they have another number of channels.
    """
    copied = deepcopy(model)
    modules = dict(copied.named_modules())
    with torch.no_grad():
        for folding in foldings:
            if isinstance(folding, HeadFolding):
                _balance(modules, folding)
                continue
            norm = _module(modules, folding.norm, len(folding.factors))
            factors = folding.factors.to(norm.weight)
            linears = [_module(modules, name, len(folding.factors)) for name in folding.linears]
            if folding.constants is not None:
                _shift(norm, linears, folding.constants)
            norm.weight.div_(factors)
            if getattr(norm, "bias", None) is not None:
                norm.bias.div_(factors)
            for linear in linears:
                linear.weight.mul_(factors)
    return copied


def _balance(modules: dict[str, nn.Module], folding: HeadFolding) -> None:
    scores, values = folding.scores, folding.values
    proj = _module(modules, folding.proj, len(values))
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


def _shift(norm: Any, linears: list[Any], constants: torch.Tensor) -> None:
    """Take constants off the bias of the norm, and add what they gave to the biases of the readers: W c."""
    norm.bias.copy_(norm.bias.double() - constants.to(norm.bias.device).double())
    for linear in linears:
        weight = linear.weight.double()
        given = weight @ constants.to(weight)
        if linear.bias is None:
            linear.bias = nn.Parameter(given.to(linear.weight), requires_grad=linear.weight.requires_grad)
        else:
            linear.bias.copy_(linear.bias.double() + given)


def _module(modules: dict[str, nn.Module], name: str, channels: int) -> Any:
    """The module of that name, whose weight has so many channels in its last dimension."""
    weight = getattr(modules.get(name), "weight", None)
    if not isinstance(weight, nn.Parameter) or weight.shape[-1] != channels:
        raise ValueError(
            f"factors of {channels} channels were to be moved into or out of {name!r}, and the network has no such "
            "layer with a weight of that many: name the network that it was calibrated from"
        )
    return modules[name]
