"""The patch projection on 8-bit pixels: the normalization of images becomes part of weights and bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import ptqsim as pq
from ptqsim.integer_only.plan import PIXEL_FORMAT
from ptqsim.ptq.network.products.blocked import plain_codes
from ptqsim.ptq.network.products.operations import PatchOperation

_LEVELS = 255.0
_PATCHES = 2048


@dataclass(frozen=True, eq=False)
class PixelProjection:
    """A patch projection of pixels u from 0 to 255: u times the weights, plus what does not depend on the image.

    Attributes
    ----------
    weights : QuantizedArray
        [K, N]: what is quantized is the weight divided by 255 and the deviation.
    offset : float64 array [N]
        Minus the mean pixel times the quantized weights, in accumulator units: the zero point of the operand.
    scale : float64 array [N]
        Real value of an accumulator unit.
    """

    weights: pq.QuantizedArray
    offset: NDArray[np.float64]
    scale: NDArray[np.float64]


def normalization(model: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of the images of a network, per channel, for pixels from 0 to 1."""
    config = getattr(model, "pretrained_cfg", None) or {}
    if "mean" not in config or "std" not in config:
        raise ValueError(
            "the network does not say how its images are normalized, and an integer-only network takes pixels: set "
            "model.pretrained_cfg = {'mean': (0.5, 0.5, 0.5), 'std': (0.5, 0.5, 0.5)} to what your images have"
        )
    return tuple(map(float, config["mean"])), tuple(map(float, config["std"]))


def pixel_projection(
    op: PatchOperation, mean: Sequence[float], std: Sequence[float], images: torch.Tensor
) -> PixelProjection:
    """Fold the normalization into a calibrated patch projection.

    Where all channels have one deviation, the codes of the weight stay as they are, and their scale changes. Otherwise
    the folded weight is quantized anew, with the scale, near the calibrated one, whose products are nearest to those
    of the folded weight.
    """
    codes = plain_codes(op.weight_codes)[0]
    per_channel = codes.shape[0] // len(std)
    factors = np.repeat(1.0 / (_LEVELS * np.array(std, np.float64)), per_channel)
    fmt = codes.format
    if len(set(std)) == 1:
        weights = pq.QuantizedArray(codes.codes, replace(fmt, scale=fmt.scale * factors[0]))  # type: ignore[type-var]
    else:
        weights = _requantized(op, factors, mean, std, images)
    integers = weights.aligned().reshape(len(std), per_channel, -1).sum(axis=1)  # exact, per color
    offset = -(_LEVELS * np.array(mean, np.float64)) @ integers
    scale = np.broadcast_to(np.asarray(weights.format.scale) * PIXEL_FORMAT.scale, offset.shape)
    return PixelProjection(weights, offset, np.array(scale, np.float64))


def _requantized(
    op: PatchOperation, factors: NDArray[np.float64], mean: Sequence[float], std: Sequence[float], images: torch.Tensor
) -> pq.QuantizedArray:
    weight = op.constant_b[0].double().cpu().numpy() * factors[:, None]
    x = _patches(op, images) / factors  # normalized pixels become levels around the mean
    x = x[:: max(1, len(x) // _PATCHES)]
    fmt = plain_codes(op.weight_codes)[0].format
    base = np.asarray(fmt.scale) * factors.mean()
    best, least = None, np.full(weight.shape[1] if fmt.axis is not None else 1, np.inf)
    exact = x @ weight
    scales = np.array(np.broadcast_to(base, least.shape), np.float64)
    for factor in np.linspace(0.85, 1.15, 31):
        tried = replace(fmt, scale=base * factor)  # type: ignore[type-var]
        error = ((x @ pq.quantize(weight, tried).dequantize() - exact) ** 2).sum(axis=0)
        error = error if fmt.axis is not None else error.sum(keepdims=True)
        better = error < least
        least = np.where(better, error, least)
        scales = np.where(better, np.broadcast_to(base * factor, least.shape), scales)
        best = tried
    assert best is not None
    chosen = scales if fmt.axis is not None else float(scales[0])
    return pq.quantize(weight, replace(fmt, scale=chosen))  # type: ignore[type-var]


def _patches(op: PatchOperation, images: torch.Tensor) -> NDArray[np.float64]:
    (p, q), (batch, channels) = op.patch, images.shape[:2]
    h, w = images.shape[2] // p, images.shape[3] // q
    cut = images[:, :, : h * p, : w * q].reshape(batch, channels, h, p, w, q).permute(0, 2, 4, 1, 3, 5)
    return cut.reshape(batch * h * w, -1).detach().double().cpu().numpy()
