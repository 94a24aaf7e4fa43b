"""Images as 8-bit pixels, and integer-only execution of a quantized model on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

import ptqsim as pq
from ptqsim.errors import ArgumentTypeError
from ptqsim.integer_only import Plan, execute
from ptqsim.ptq.network.products.execute import IntegerProduct

_LEVELS = 255.0


def run_plan(plan: Plan, images: object, products: Mapping[str, IntegerProduct]) -> torch.Tensor:
    """Logits of pixels, as integers.

    Parameters
    ----------
    plan : Plan
    images : uint8 tensor [N, C, H, W]
    products : mapping of str to IntegerProduct
        The datapaths of the layers, which count and record as in integer mode.

    Returns
    -------
    int64 tensor [N, classes]
        On the CPU.
    """
    if not isinstance(images, torch.Tensor):
        raise ArgumentTypeError(
            f"images are a {type(images).__name__}; legal is a uint8 tensor [N, C, H, W]: try torch.from_numpy"
        )
    watched = any(one.statistics or one.recorder is not None for one in products.values())

    def watch(name: str, group: int, a: pq.QuantizedArray, b: pq.QuantizedArray, result: pq.MatmulResult) -> None:
        products[name].note(group, a, b, result)

    logits = execute(
        plan,
        images.detach().cpu().numpy(),
        {name: one.accumulator for name, one in products.items()},
        product_observer=watch if watched else None,
        statistics=any(one.statistics for one in products.values()),
    )
    return torch.from_numpy(logits)


def as_pixels(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """The pixels that normalized images were made from.

    Parameters
    ----------
    images : float tensor [B, C, H, W]
    mean, std : sequence of float
        Per channel.

    Returns
    -------
    uint8 tensor [B, C, H, W]

    Raises
    ------
    ValueError
        If a value lies between two pixels, or outside of their range, and so was not made from one.
    """
    shape = (1, -1, 1, 1)
    m, s = (torch.tensor(one, dtype=torch.float64).reshape(shape) for one in (mean, std))
    levels = (images.detach().cpu().double() * s + m) * _LEVELS
    nearest = levels.round()
    off = float((levels - nearest).abs().max())
    if off > 0.01 or float(nearest.min()) < 0 or float(nearest.max()) > _LEVELS:
        raise ValueError(
            f"images are no normalized 8-bit pixels (mean {tuple(mean)}, std {tuple(std)}): a value lies {off:.3g} of "
            "a level off, or outside of 0 to 255; an integer-only network takes pixels, as uint8"
        )
    return nearest.to(torch.uint8)
