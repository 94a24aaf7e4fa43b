"""Convolutions in one dimension, and transposed ones, as convolutions in two."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.network.convolutions.operation import ConvOperation, Geometry


class Conv1dOperation(ConvOperation):
    """A convolution along one axis: one of an image of height 1."""

    def __init__(self, name: str, conv: nn.Conv1d) -> None:
        weight = nn.Parameter(conv.weight.detach().unsqueeze(2))
        padding = conv.padding if isinstance(conv.padding, str) else (0, *conv.padding)
        kernel, stride, dilation = (1, *conv.kernel_size), (1, *conv.stride), (1, *conv.dilation)
        super().__init__(
            name, Geometry(weight, conv.bias, conv.groups, kernel, stride, padding, dilation, conv.padding_mode)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [B, C, L] -> [B, N, L']."""
        if self.mode == "float" and self.observer is None:
            padding = self.padding if isinstance(self.padding, str) else self.padding[1:]
            weight = self.weight.squeeze(2)
            return F.conv1d(x, weight, self.bias, self.stride[1:], padding, self.dilation[1:], self._groups)
        return super().forward(x.unsqueeze(2)).squeeze(2)


class TransposedConvOperation(ConvOperation):
    """A transposed convolution: one with the kernel reversed, on an image with zeros between its pixels."""

    def __init__(self, name: str, conv: nn.ConvTranspose2d) -> None:
        cut = conv.padding
        assert not isinstance(cut, str)  # torch refuses names here
        weight = nn.Parameter(_reversed(conv.weight.detach(), conv.groups))
        super().__init__(
            name,
            Geometry(
                weight, conv.bias, conv.groups, conv.kernel_size, (1, 1), (0, 0), conv.dilation, conv.padding_mode
            ),
        )
        self.spacing = conv.stride
        self.cut = cut
        self.output_padding = conv.output_padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [B, C, H, W] -> [B, N, H', W'], H' about the stride times H."""
        groups = self._groups
        if self.mode == "float" and self.observer is None:
            weight = _reversed(self.weight, groups)
            return F.conv_transpose2d(
                x, weight, self.bias, self.spacing, self.cut, self.output_padding, groups, self.dilation
            )
        height, width = ((size - 1) * step + 1 for size, step in zip(x.shape[2:], self.spacing, strict=True))
        spread = x.new_zeros(*x.shape[:2], height, width)
        spread[:, :, :: self.spacing[0], :: self.spacing[1]] = x
        around = [self.dilation[axis] * (self.kernel_size[axis] - 1) - self.cut[axis] for axis in (1, 0)]
        behind = [side + self.output_padding[axis] for side, axis in zip(around, (1, 0), strict=True)]
        return super().forward(F.pad(spread, [around[0], behind[0], around[1], behind[1]]))


def _reversed(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """From [C, N / groups, H, W] to [N, C / groups, H, W] with the kernel reversed; twice is nothing."""
    parts = weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)
    return parts.flip(2, 3).contiguous()
