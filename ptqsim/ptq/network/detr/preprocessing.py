"""From an image file to a detector's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ptqsim.ptq.files.images import to_rgb


@dataclass(frozen=True)
class Preprocessing:
    """Resizing and normalization.

    Attributes
    ----------
    input_size : tuple of int
        Channels, height and width; of a network that takes any size, one that it is tried on.
    mean, std : tuple of float
        By channel, of values 0 to 1.
    resize : tuple of int or None
        Images are resized to this shorter side, or to less where the other would become longer than the second number
        (Carion et al., appendix A.4), and padded where they meet in a batch.  None where all become ``input_size``.
    """

    input_size: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: tuple[int, int] | None = None

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of an image after resizing."""
        if self.resize is None:
            return self.input_size[2], self.input_size[1]
        shorter, longest = self.resize
        scale = min(shorter / min(width, height), longest / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))

    def tensor(self, image: Image.Image) -> torch.Tensor:
        """One image, float32 [3, H, W]."""
        resized = to_rgb(image).resize(self.size(*image.size), Image.Resampling.BILINEAR)
        values = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(v)[:, None, None] for v in (self.mean, self.std))
        return (values - mean) / std

    def batch(self, images: Sequence[torch.Tensor]) -> torch.Tensor:
        """Images as one tensor: [N, 3, H, W], or [N, 4, H, W], padded, with a mask as the fourth channel."""
        if self.resize is None:
            return torch.stack(list(images))
        height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
        out = torch.zeros(len(images), 4, height, width)
        for row, image in zip(out, images, strict=True):
            _, h, w = image.shape
            row[:3, :h, :w] = image
            row[3, :h, :w] = 1.0
        return out
