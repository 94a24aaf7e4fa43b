"""Images made of calibration images, so that a few of them give many: shifted, mixed, and one pasted into another."""

from __future__ import annotations

from typing import Final

import torch

SHIFT: Final = 0.125
"""Greatest shift, in sides of the image; what comes in is the edge, repeated."""


def augmented(images: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Images [count, C, H, W] drawn from images [N, C, H, W].

    Every one is shifted by up to an eighth of its sides in both directions.  Then a third stays so, a third is the mean
    of two with random weights (mixup, Zhang et al., ICLR 2018), and a third has a random rectangle of another one
    (CutMix, Yun et al., ICCV 2019).  No image is mirrored, as digits and letters have a side.

    Parameters
    ----------
    images : float tensor [N, C, H, W]
    count : int
    generator : torch.Generator
        On the CPU.
    """
    first, second = (_shifted(images, count, generator) for _ in range(2))
    kind = torch.randint(3, (count,), generator=generator).tolist()
    height, width = images.shape[-2:]
    for i, (way, share) in enumerate(zip(kind, torch.rand(count, generator=generator).tolist(), strict=True)):
        if way == 1:
            first[i] = share * first[i] + (1 - share) * second[i]
        elif way == 2:
            h, w = (max(1, round(side * share**0.5)) for side in (height, width))  # a rectangle of that share
            top, left = (_below(side - inner + 1, generator) for side, inner in ((height, h), (width, w)))
            first[i, :, top : top + h, left : left + w] = second[i, :, top : top + h, left : left + w]
    return first


def _shifted(images: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    chosen = torch.randint(len(images), (count,), generator=generator).tolist()
    height, width = images.shape[-2:]
    found = []
    for at in chosen:
        rows, columns = (
            (torch.arange(side) + _below(2 * most + 1, generator) - most).clamp(0, side - 1).to(images.device)
            for side, most in ((height, round(SHIFT * height)), (width, round(SHIFT * width)))
        )
        found.append(images[at][:, rows][:, :, columns])
    return torch.stack(found)


def _below(end: int, generator: torch.Generator) -> int:
    return int(torch.randint(end, (1,), generator=generator))
