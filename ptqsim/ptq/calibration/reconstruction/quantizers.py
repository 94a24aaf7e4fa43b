"""Quantizers with a gradient: of activations, to learn their scales, and of weights, to learn their rounding too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, cast

import numpy as np
import torch

import ptqsim as pq
from ptqsim.ptq.network.products.blocked import plain_codes, plain_formats
from ptqsim.ptq.network.products.execute import WeightCodes
from ptqsim.ptq.network.products.fake_quant import Format, fake_quantize, per_group, steps_of

STRETCH: Final = 1.1
"""Upper end of the stretched sigmoid; the lower one is 1 - STRETCH (Louizos et al., 2018)."""


class Activation:
    """An activation operand whose scales are learned by the straight-through estimator (LSQ, Esser et al., ICLR 2020).

    The two scales of a `TwinGELU` stay a power of two apart: the greater one is 2**m times the smaller one, which is
    learned.  A format whose scales are no choice, such as `TwinSoftmax`, is left as it is.

    Parameters
    ----------
    formats : sequence of Format
        One per group, or one for all.
    device : torch.device
    """

    def __init__(self, formats: Sequence[Format], device: torch.device) -> None:
        self.formats = tuple(formats)
        kinds = {type(fmt) for fmt in formats}
        self.learned = kinds <= {pq.Uniform} or kinds <= {pq.TwinGELU}
        # the scale is exp(log_ratio) times the one it began with, so that a step of the optimizer is relative to it
        self.log_ratio = torch.zeros(len(self.formats), device=device, requires_grad=self.learned)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """x [G, ...] rounded, in the dtype of x; the gradient of the rounding is one."""
        if not self.learned:
            return x + (fake_quantize(x.detach(), self.formats) - x).detach()
        ratio = self.log_ratio.exp().reshape(-1, *[1] * (x.ndim - 1))
        scale = steps_of(plain_formats(self.formats), x, x.dtype) * ratio
        first = self.formats[0]
        if isinstance(first, pq.Uniform):
            low, high = (per_group([getattr(f, n) for f in self.formats], x) for n in ("aligned_min", "aligned_max"))
            return rounded((x / scale).clamp(low, high)) * scale
        top = 2 ** (first.bits - 1) - 1
        coarse = scale * per_group([2.0**f.shift for f in self.formats], x)
        negative = -rounded((-x / scale).clamp(0, top)) * scale
        return torch.where(x < 0, negative, rounded((x / coarse).clamp(0, top)) * coarse)

    def found(self) -> tuple[Format, ...]:
        """The formats with the scales that were learned."""
        if not self.learned:
            return self.formats
        ratios = self.log_ratio.detach().double().exp().tolist()
        return tuple(_scaled(fmt, ratio) for fmt, ratio in zip(self.formats, ratios, strict=True))


class Codes:
    """A weight whose codes stay as they are, and whose scales are learned.

    Parameters
    ----------
    codes : list of QuantizedArray
        One per group, [K, N], of uniform formats.
    like : torch.Tensor
        A tensor of the type and on the device of the weight.
    """

    def __init__(self, codes: WeightCodes, like: torch.Tensor) -> None:
        self.codes = plain_codes(codes)
        self.aligned = torch.stack([torch.from_numpy(one.aligned()) for one in self.codes]).to(like.device, like.dtype)
        self.scale = steps_of([one.format for one in self.codes], self.aligned, like.dtype)
        self.log_ratio = torch.zeros_like(self.scale, requires_grad=True)

    def __call__(self) -> torch.Tensor:
        """The weight [G, K, N]."""
        return self.aligned * (self.scale * self.log_ratio.exp())

    def found(self) -> tuple[tuple[pq.Uniform, ...], WeightCodes]:
        """Formats with the learned scales, and the codes."""
        ratios = self.log_ratio.detach().double().exp()
        formats = tuple(_of_ratio(one.format, ratio) for one, ratio in zip(self.codes, ratios, strict=True))
        codes = [pq.QuantizedArray(one.codes, fmt) for one, fmt in zip(self.codes, formats, strict=True)]
        return formats, codes


class Weight:
    """A weight whose scales and rounding are learned.

    Rounding is that of AdaRound (Nagel et al., ICML 2020, Eq. 22 and 23): floor(w / s) + h(v) with the stretched
    sigmoid h in [0, 1], which a regularizer drives to 0 or 1.

    Parameters
    ----------
    weight : float tensor [G, K, N]
    formats : sequence of ptqsim.Uniform
        One per group.
    """

    def __init__(self, weight: torch.Tensor, formats: Sequence[pq.Uniform]) -> None:
        self.formats = tuple(formats) if len(formats) == len(weight) else tuple(formats) * len(weight)
        self.scale = steps_of(self.formats, weight, weight.dtype)
        self.log_ratio = torch.zeros_like(self.scale, requires_grad=True)
        whole = weight / self.scale
        self.floor = whole.floor()
        fraction = whole - self.floor
        self.v = -torch.log((2 * STRETCH - 1) / (fraction + STRETCH - 1) - 1)  # h(v) = fraction
        self.v.requires_grad_(True)
        self.low = per_group([fmt.aligned_min for fmt in self.formats], weight)
        self.high = per_group([fmt.aligned_max for fmt in self.formats], weight)

    def __call__(self) -> torch.Tensor:
        """The weight [G, K, N] with soft rounding."""
        return (self.floor + self.up()).clamp(self.low, self.high) * (self.scale * self.log_ratio.exp())

    def up(self) -> torch.Tensor:
        """Fraction by which every weight is rounded up, 0 to 1."""
        return (torch.sigmoid(self.v) * (2 * STRETCH - 1) + 1 - STRETCH).clamp(0, 1)

    def undecided(self, beta: float) -> torch.Tensor:
        """Mean of the regularizer 1 - |2 h - 1|**beta, which is zero where all rounding is decided."""
        return (1 - (2 * self.up() - 1).abs().pow(beta)).mean()

    def found(self) -> tuple[tuple[pq.Uniform, ...], WeightCodes]:
        """Formats with the learned scales, and codes by the learned rounding."""
        with torch.no_grad():
            aligned = (self.floor + (self.up() >= 0.5)).clamp(self.low, self.high)
            ratios = self.log_ratio.double().exp()
        formats, codes = [], []
        for fmt, values, ratio in zip(self.formats, aligned, ratios, strict=True):
            chosen = _of_ratio(fmt, ratio)
            integers = values.cpu().numpy().astype(np.int64) + chosen.zero_point
            mask = (1 << chosen.bits) - 1  # two's complement of k bits
            codes.append(pq.QuantizedArray((integers & mask).astype(chosen.code_dtype), chosen))
            formats.append(chosen)
        return tuple(formats), codes


def rounded(x: torch.Tensor) -> torch.Tensor:
    """The nearest integers, ties to even, with a gradient of one."""
    return x + (x.round() - x).detach()


def _of_ratio(fmt: pq.NumberFormat, ratio: torch.Tensor) -> pq.Uniform:
    """The format of a weight with its scales times ratio, of one element or one per channel."""
    assert isinstance(fmt, pq.Uniform)
    chosen = _scaled(fmt, ratio.cpu().numpy() if fmt.axis is not None else float(ratio.flatten()[0]))
    assert isinstance(chosen, pq.Uniform)
    return chosen


def _scaled(fmt: Format, ratio: object) -> Format:
    scale = fmt.scale * ratio if fmt.axis is None else np.asarray(fmt.scale) * np.asarray(ratio).reshape(-1)  # type: ignore[operator]
    return replace(cast("pq.Uniform", fmt), scale=scale)  # or a TwinGELU
