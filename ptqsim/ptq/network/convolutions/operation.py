"""A convolution as an operation: the product of the patches under its kernel and its weight."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.network.products.operations import InputKind, WeightOperation

POSITIONS: Final = 128
"""Places of an image that calibration looks at: neighbors see nearly the same, and early layers have thousands."""


@dataclass(frozen=True)
class Geometry:
    """The part of a convolution that an operation reads, with other values than the layer that it stands for."""

    weight: nn.Parameter
    bias: torch.Tensor | None
    groups: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...] | str
    dilation: tuple[int, ...]
    padding_mode: str


class ConvOperation(WeightOperation):
    """A convolution of any kernel, stride, padding, dilation and number of groups.

    It is ``out[g] = a[g] @ b[g]`` with one row of a for every place of the output (im2col), so that capture, search and
    integer execution see what they see of a fully-connected layer.  The groups of a convolution are products of their
    own and share no scale, like heads: in a depthwise convolution every channel has its own.  Padding is the code of
    zero.

    Parameters
    ----------
    name : str
    conv : nn.Conv2d or Geometry
    a_kind : {"uniform", "softmax", "gelu"}
        What its input holds.
    weight : float tensor [N, C / groups, H, W], optional
        What it multiplies by, where that is computed from its parameters.
    same : bool
        Padding depends on the size of the image, as TensorFlow's ``SAME``.

    Raises
    ------
    ValueError
        For padding with anything but zeros.
    """

    def __init__(
        self,
        name: str,
        conv: nn.Conv2d | Geometry,
        a_kind: InputKind = "uniform",
        *,
        weight: torch.Tensor | None = None,
        same: bool = False,
    ) -> None:
        super().__init__(name, "conv", conv.weight if weight is None else weight, conv.bias, conv.groups, a_kind)
        if conv.padding_mode != "zeros":
            raise ValueError(
                f"operation {name!r} is a convolution with padding mode {conv.padding_mode!r}; supported is 'zeros': "
                "choose a network whose convolutions are padded with zeros"
            )
        self.kernel_size, self.stride, self.dilation = _pair(conv.kernel_size), _pair(conv.stride), _pair(conv.dilation)
        self.same = same
        self.padding: tuple[int, int] | str = conv.padding if isinstance(conv.padding, str) else _pair(conv.padding)
        self._places = 1

    @property
    def groups(self) -> tuple[int, int]:
        return self._groups, self._groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [B, C, H, W] -> [B, N, H', W']."""
        if self.same:
            x = F.pad(x, self._same_padding(x))
        if self.mode == "float" and self.observer is None:
            return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self._groups)
        if isinstance(self.padding, str):
            x = F.pad(x, self._named_padding())
        padding = (0, 0) if isinstance(self.padding, str) else self.padding
        columns = F.unfold(x, self.kernel_size, self.dilation, padding, self.stride)  # [B, G * K, H' * W']
        batch, _, self._places = columns.shape
        a = columns.unflatten(1, (self._groups, -1)).permute(1, 0, 3, 2).flatten(1, 2)  # [G, B * H' * W', K]
        out = self.product(a, self.constant_b).unflatten(1, (batch, -1))  # [G, B, H' * W', N / G]
        out = self.with_bias(out.permute(1, 2, 0, 3).flatten(2)).transpose(1, 2)
        height = (x.shape[2] + 2 * padding[0] - self.dilation[0] * (self.kernel_size[0] - 1) - 1) // self.stride[0] + 1
        return out.reshape(batch, -1, height, self._places // height).contiguous()

    def calibrated_rows(self, x: torch.Tensor) -> torch.Tensor:
        """At most ``POSITIONS`` places of every image, the same of all images and of a, out and its gradient."""
        if self._places <= POSITIONS:
            return x
        order = torch.randperm(self._places, generator=torch.Generator().manual_seed(0))
        chosen = order[:POSITIONS].sort().values.to(x.device)
        by_image = x.reshape(len(x), -1, self._places, *x.shape[2:])
        return by_image[:, :, chosen].flatten(1, 2)

    def _same_padding(self, x: torch.Tensor) -> list[int]:
        """Left, right, top and bottom, so that there are ceil(size / stride) places."""
        sides: list[int] = []
        for axis in (1, 0):
            size, step = x.shape[2 + axis], self.stride[axis]
            reach = (math.ceil(size / step) - 1) * step + (self.kernel_size[axis] - 1) * self.dilation[axis] + 1
            total = max(reach - size, 0)
            sides += [total // 2, total - total // 2]
        return sides

    def _named_padding(self) -> list[int]:
        """The same for torch's paddings by name, ``valid`` and ``same``."""
        totals = [
            0 if self.padding == "valid" else self.dilation[axis] * (self.kernel_size[axis] - 1) for axis in (1, 0)
        ]
        return [side for total in totals for side in (total // 2, total - total // 2)]


def _pair(value: tuple[int, ...]) -> tuple[int, int]:
    return int(value[0]), int(value[1])
