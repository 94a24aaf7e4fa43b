"""Rotations of a residual stream, moved into the parameters of everything that writes and reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from ptqsim.ptq.network.checkpoint_versions import WITH_ROTATIONS
from ptqsim.ptq.network.foldings.parameters import layer_with, rotated, shift
from ptqsim.ptq.network.foldings.protocol import Parts


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

    @property
    def version(self) -> int:
        """First version of checkpoints whose readers know it."""
        return WITH_ROTATIONS

    def move(self, parts: Parts) -> None:
        """Change the parameters in place; a ValueError where the network has no such layers."""
        q = self.matrix.double()
        channels = len(q)
        writers = [layer_with(parts.modules, name, channels, dim=0) for name in self.writers]
        for scale, name in self.scales:
            _absorb(parts.modules.get(scale), layer_with(parts.modules, name, channels, dim=0), scale)
        for norm in self.norms:
            _rotate_norm(parts.modules, norm, q)
        for writer in writers:
            weight = writer.weight
            weight.copy_((q.T.to(weight.device) @ weight.double().flatten(1)).reshape(weight.shape))
            if writer.bias is not None:
                writer.bias.copy_(rotated(writer.bias, q))
        for name in self.values:
            value = parts.parameters.get(name)
            if value is None or value.shape[-1] != channels:
                raise ValueError(
                    f"{name!r} was to be rotated with {channels} channels, and the network has no such parameter: name "
                    "the network that it was calibrated from"
                )
            value.copy_(rotated(value, q))

    def written(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Plain data, and tensors by name."""
        norms = [asdict(norm) for norm in self.norms]
        about = {"norms": norms, "writers": self.writers, "scales": self.scales, "values": self.values}
        return about, {"fold": self.matrix}

    @classmethod
    def is_written_as(cls, entry: Mapping[str, Any]) -> bool:
        """True if the plain data is that of this kind."""
        return "norms" in entry

    @classmethod
    def read(cls, entry: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> StreamRotation:
        """The rotation that :meth:`written` wrote."""
        norms = tuple(StreamNorm(norm["name"], tuple(norm["linears"]), norm["moved"]) for norm in entry["norms"])
        scales = tuple((scale, writer) for scale, writer in entry["scales"])
        return cls(tensors["fold"], norms, tuple(entry["writers"]), scales, tuple(entry["values"]))


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
            norm.bias.copy_(rotated(norm.bias.double() / gain, q))
    for linear in linears:
        linear.weight.copy_(rotated(linear.weight.double() * gain, q))
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
