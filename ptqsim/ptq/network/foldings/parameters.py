"""Parameters of a network by name, and constants moved between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn


def layer_with(modules: Mapping[str, nn.Module], name: str, channels: int, dim: int = -1) -> Any:
    """The module of that name, whose weight has so many channels.

    Parameters
    ----------
    modules : mapping of str to nn.Module
        All modules of a network.
    name : str
    channels : int
        Size of a dimension of its weight.
    dim : int
        That dimension.

    Raises
    ------
    ValueError
        Where there is no such module.
    """
    weight = getattr(modules.get(name), "weight", None)
    if not isinstance(weight, nn.Parameter) or weight.shape[dim] != channels:
        raise ValueError(
            f"factors of {channels} channels were to be moved into or out of {name!r}, and the network has no such "
            "layer with a weight of that many: name the network that it was calibrated from"
        )
    return modules[name]


def shift(norm: Any, linears: Sequence[Any], constants: Any) -> None:
    """Take constants off the bias of the norm, and add what they gave to the biases of the readers: W c."""
    norm.bias.copy_(norm.bias.double() - constants.to(norm.bias.device).double())
    for linear in linears:
        weight = linear.weight.double()
        given = weight @ constants.to(weight)
        if linear.bias is None:
            linear.bias = nn.Parameter(given.to(linear.weight), requires_grad=linear.weight.requires_grad)
        else:
            linear.bias.copy_(linear.bias.double() + given)


def rotated(values: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """x Q of values [..., k C], each C of them one x; float64."""
    return (values.double().reshape(-1, len(q)) @ q.to(values.device)).reshape(values.shape)
