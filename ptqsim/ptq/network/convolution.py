"""A convolution as an operation: the product of the patches under its kernel and its weight."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.network.operations import WeightOperation

POSITIONS: Final = 128
"""Places of an image that calibration looks at: neighbors see nearly the same, and early layers have thousands."""


class ConvOperation(WeightOperation):
    """A convolution of any kernel, stride, padding and dilation, in one group.

    It is ``out = a @ b`` with one row of a for every place of the output (im2col), so that capture, search and integer
    execution see what they see of a fully-connected layer.  Padding is the code of zero.

    Raises
    ------
    ValueError
        For convolutions in several groups, and for padding with anything but zeros.
    """

    def __init__(self, name: str, conv: nn.Conv2d) -> None:
        super().__init__(name, "conv", conv.weight, conv.bias, 1, "uniform")
        if conv.groups != 1 or conv.padding_mode != "zeros" or isinstance(conv.padding, str):
            raise ValueError(
                f"operation {name!r} is a convolution with groups {conv.groups}, padding mode {conv.padding_mode!r} "
                f"and padding {conv.padding!r}; supported is one group, padded with zeros by numbers of pixels: choose "
                "a backbone of plain convolutions, such as a ResNet"
            )
        self.kernel, self.stride = _pair(conv.kernel_size), _pair(conv.stride)
        self.padding, self.dilation = _pair(conv.padding), _pair(conv.dilation)
        self._places = 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [B, C, H, W] -> [B, N, H', W']."""
        if self.mode == "float" and self.observer is None:
            return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation)
        columns = F.unfold(x, self.kernel, self.dilation, self.padding, self.stride)  # [B, K, H' * W']
        self._places = columns.shape[2]
        out = self.rows(columns.transpose(1, 2))  # [B, H' * W', N]
        height = (x.shape[2] + 2 * self.padding[0] - self.dilation[0] * (self.kernel[0] - 1) - 1) // self.stride[0] + 1
        return out.transpose(1, 2).reshape(len(x), -1, height, self._places // height)

    def calibrated_rows(self, x: torch.Tensor) -> torch.Tensor:
        """At most ``POSITIONS`` places of every image, the same of all images and of a, out and its gradient."""
        if self._places <= POSITIONS:
            return x
        order = torch.randperm(self._places, generator=torch.Generator().manual_seed(0))
        chosen = order[:POSITIONS].sort().values.to(x.device)
        by_image = x.reshape(len(x), -1, self._places, *x.shape[2:])
        return by_image[:, :, chosen].flatten(1, 2)


def _pair(value: tuple[int, ...]) -> tuple[int, int]:
    return int(value[0]), int(value[1])
