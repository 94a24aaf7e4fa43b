"""Rotations of the channels between linear layers, moved into the parameters before and behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ptqsim.ptq.network.wrapping.parameters import layer_with, shift


@dataclass(frozen=True)
class StreamNorm:
    """A LayerNorm that reads a residual stream.

    Attributes
    ----------
    name : str
    linears : tuple of str
        All layers that read its output; they are linear, and read nothing else.
    moved : bool
        True if its bias is moved into theirs; else it stays, rotated.
    """

    name: str
    linears: tuple[str, ...]
    moved: bool


@dataclass(frozen=True, eq=False)
class StreamRotation:
    """A residual stream x replaced by x Q, with all layers that write it and all that read it to match.

    Everything that reads the stream is a LayerNorm.  Its gain is moved into the next weights, so that what is left of
    it takes off the mean of the channels and divides by their standard deviation.  Both are the same of x Q as of x, as
    Q is orthogonal and has the vector of ones as a fixed point: LN(x Q) = LN(x) Q.

    Attributes
    ----------
    matrix : float tensor [C, C]
        Q, with Q^T Q = 1 and Q 1 = 1.
    norms : tuple of StreamNorm
        A norm over k C channels, as in Swin's patch merging, reads k positions of the stream one after the other.
    writers : tuple of str
        Linear layers and convolutions whose output is added to the stream.
    scales : tuple of pairs of str
        Layer scales, and the writer that each is behind; they are moved into it.
    values : tuple of str
        Parameters [..., C] that are added to the stream, or tokens of it.
    """

    matrix: torch.Tensor
    norms: tuple[StreamNorm, ...]
    writers: tuple[str, ...]
    scales: tuple[tuple[str, str], ...] = ()
    values: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class HeadRotation:
    """Channels of Q and K of every head rotated together, and those of V, whose rotation the projection takes back.

    Attributes
    ----------
    qkv, proj : str
        Names of the linear layers: the one that gives Q, K and V, one after the other, and the one that reads P V.
    scores, values : float tensor [D, D]
        Orthogonal matrices for the D channels of a head, of Q and K, and of V.
    """

    qkv: str
    proj: str
    scores: torch.Tensor
    values: torch.Tensor


def rotate_stream(
    modules: Mapping[str, nn.Module], parameters: Mapping[str, nn.Parameter], one: StreamRotation
) -> None:
    """Rotate a residual stream of a network; a ValueError where the network has no such layers."""
    q = one.matrix.double()
    channels = len(q)
    writers = [layer_with(modules, name, channels, dim=0) for name in one.writers]
    for scale, name in one.scales:
        _absorb(modules.get(scale), layer_with(modules, name, channels, dim=0), scale)
    for norm in one.norms:
        _rotate_norm(modules, norm, q)
    for writer in writers:
        weight = writer.weight
        weight.copy_((q.T.to(weight.device) @ weight.double().flatten(1)).reshape(weight.shape))
        if writer.bias is not None:
            writer.bias.copy_(_rotated(writer.bias, q))
    for name in one.values:
        value = parameters.get(name)
        if value is None or value.shape[-1] != channels:
            raise ValueError(
                f"{name!r} was to be rotated with {channels} channels, and the network has no such parameter: name the "
                "network that it was calibrated from"
            )
        value.copy_(_rotated(value, q))


def rotate_heads(modules: Mapping[str, nn.Module], one: HeadRotation) -> None:
    """Rotate the heads of an attention module; a ValueError where the network has no such layers."""
    size = len(one.values)
    qkv: Any = modules.get(one.qkv)
    weight = getattr(qkv, "weight", None)
    if not isinstance(weight, nn.Parameter) or len(weight) % (3 * size):
        raise ValueError(
            f"heads of {size} channels were to be rotated in {one.qkv!r}, and the network has no such layer: name the "
            "network that it was calibrated from"
        )
    proj = layer_with(modules, one.proj, len(weight) // 3)
    matrices = torch.stack([one.scores, one.scores, one.values]).double().to(weight.device)  # of Q, K and V
    for tensor in (weight, qkv.bias):
        if tensor is not None:
            heads = tensor.double().reshape(3, -1, size, tensor[0].numel())
            tensor.copy_((matrices.transpose(1, 2)[:, None] @ heads).reshape(tensor.shape))
    proj.weight.copy_(_rotated(proj.weight, one.values.double()))


def _rotate_norm(modules: Mapping[str, nn.Module], one: StreamNorm, q: torch.Tensor) -> None:
    """Move gain, and bias if it can be, into the readers, and rotate what they read."""
    norm: Any = modules.get(one.name)
    size = len(norm.weight) if isinstance(getattr(norm, "weight", None), nn.Parameter) else 0
    if not size or size % len(q):
        raise ValueError(
            f"a stream of {len(q)} channels was to be rotated, and {one.name!r} does not read it: name the network "
            "that it was calibrated from"
        )
    linears = [layer_with(modules, name, size) for name in one.linears]
    gain = norm.weight.double()
    if norm.bias is not None:
        if one.moved:
            shift(norm, linears, norm.bias.detach().clone())
        else:
            norm.bias.copy_(_rotated(norm.bias.double() / gain, q))
    for linear in linears:
        linear.weight.copy_(_rotated(linear.weight.double() * gain, q))
    norm.weight.fill_(1)


def _absorb(scale: Any, writer: Any, name: str) -> None:
    """Move a layer scale into the layer that it is behind."""
    gamma = getattr(scale, "gamma", None)
    if not isinstance(gamma, nn.Parameter) or len(gamma) != len(writer.weight):
        raise ValueError(
            f"{name!r} was to be moved into the layer before it, and the network has no such layer scale: name the "
            "network that it was calibrated from"
        )
    writer.weight.mul_(gamma.reshape(-1, *[1] * (writer.weight.ndim - 1)))
    if writer.bias is not None:
        writer.bias.mul_(gamma)
    gamma.fill_(1)


def _rotated(values: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """x Q of values [..., k C], each C of them one x; float64."""
    return (values.double().reshape(-1, len(q)) @ q.to(values.device)).reshape(values.shape)
