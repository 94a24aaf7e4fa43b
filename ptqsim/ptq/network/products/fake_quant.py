"""Fake quantization of tensors: the real values that the codes stand for, computed in floating point.

On the CPU the formats of :mod:`ptqsim.formats` do it, in one pass over memory.  Elsewhere torch does, and its values
equal theirs to the last bit: both divide and round in the dtype of ``x``, and both end with one product of an integer
and the scale, rounded to that dtype once.  Tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

import ptqsim as pq
from ptqsim.formats import ReleasedTwinGELU, ReleasedTwinSoftmax
from ptqsim.ptq.network.products.blocked import AnyArray, Blocked, plain_formats

PlainFormat = (
    pq.Uniform | pq.TwinSoftmax | pq.TwinGELU | pq.Minifloat | pq.Log2 | ReleasedTwinSoftmax | ReleasedTwinGELU
)
Format = PlainFormat | Blocked
FORMATS: Final = (
    pq.Uniform, pq.TwinSoftmax, pq.TwinGELU, pq.Minifloat, pq.Log2, ReleasedTwinSoftmax, ReleasedTwinGELU, Blocked,
)  # fmt: skip
"""Formats of an operand of a network; the released ones run as fake quantization only."""


def fake_quantize(x: torch.Tensor, formats: Sequence[Format]) -> torch.Tensor:
    """Round a tensor to the grids of its formats.

    Parameters
    ----------
    x : float tensor [G, ...]
        The leading axis holds the groups of values that share a format.
    formats : sequence of G formats, or of one for all groups
        They may differ in everything.

    Returns
    -------
    float tensor [G, ...]
        ``formats[g].decode(formats[g].encode(x[g]))`` in the dtype of ``x``; of the released formats, whose codes
        can't be decoded, ``formats[g].fake_quantize(x[g])``.  A tensor of float16 or bfloat16 is taken as float32, and
        so are its values before they are rounded to its dtype.

    Raises
    ------
    ValueError
        If the formats round otherwise than half to even, or a value on the CPU is NaN or infinite.
    """
    for fmt in formats:
        if (rounding := getattr(fmt, "rounding", "half_even")) != "half_even":
            raise ValueError(
                f"fake quantization was asked for with rounding {rounding!r}; legal is 'half_even': "
                "use integer mode for the others"
            )
    differentiable = x.requires_grad and torch.is_grad_enabled()
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64) or differentiable:
        return by_torch(x, formats)
    out = torch.empty_like(x) if x.is_contiguous() else x.contiguous()
    source = x if x.is_contiguous() else out
    if len(formats) == 1:
        formats[0].fake_quantize(source.detach().numpy(), out=out.numpy())
    else:
        for values, rounded, fmt in zip(source.detach().numpy(), out.numpy(), formats, strict=True):
            fmt.fake_quantize(values, out=rounded)
    return out


def by_torch(x: torch.Tensor, formats: Sequence[Format]) -> torch.Tensor:
    """The same by torch's operations, one after the other; arguments as for :func:`fake_quantize`."""
    first = formats[0]
    if x.dtype not in (torch.float32, torch.float64):
        return by_torch(x.float(), formats).to(x.dtype)
    if isinstance(first, pq.Minifloat | pq.Log2 | Blocked):  # the formats themselves, on the CPU
        every = list(formats) * len(x) if len(formats) == 1 else formats
        values = x.detach().cpu().numpy()
        rounded = [torch.from_numpy(fmt.fake_quantize(part)) for fmt, part in zip(every, values, strict=True)]
        return torch.stack(rounded).to(x.device)
    if len({_choices(fmt) for fmt in formats}) > 1:
        return torch.cat([by_torch(x[g : g + 1], (fmt,)) for g, fmt in enumerate(formats)])
    if isinstance(first, ReleasedTwinSoftmax | ReleasedTwinGELU):
        return _released(x, formats)
    plain = plain_formats(formats)
    scale, step = steps_of(plain, x, x.dtype), _steps(plain, x)
    if isinstance(first, pq.Uniform):
        return uniform(x, scale, step, first.aligned_min, first.aligned_max)
    shift = per_group([2.0**f.shift for f in formats], x)
    if isinstance(first, pq.TwinSoftmax):
        return twin_softmax(x, scale, shift, first.bits, first.range_choice)
    return twin_gelu(x, scale, step, shift, first.bits, first.range_choice)


def _choices(fmt: Format) -> tuple[object, ...]:
    """Properties that formats of groups have to share to be rounded together."""
    limits = (fmt.aligned_min, fmt.aligned_max) if isinstance(fmt, pq.Uniform) else None
    return type(fmt), fmt.bits, getattr(fmt, "range_choice", None), limits


def per_group(values: Sequence[float], x: torch.Tensor) -> torch.Tensor:
    """One value per group, shaped to broadcast over ``x`` [G, ...], in its dtype."""
    return torch.tensor(values, dtype=x.dtype, device=x.device).reshape(-1, *[1] * (x.ndim - 1))


def steps_of(formats: Sequence[pq.NumberFormat], x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The scales of one format per group, shaped to broadcast over ``x`` [G, ...]; also those per channel."""
    if all(fmt.axis is None for fmt in formats):
        return torch.tensor([f.step for f in formats], dtype=dtype, device=x.device).reshape(-1, *[1] * (x.ndim - 1))
    for fmt in formats:
        fmt.check_shape("values", tuple(x.shape[1:]))
    last = np.broadcast_shapes(*(np.shape(fmt.steps) for fmt in formats))
    steps = np.stack([np.broadcast_to(fmt.steps, last) for fmt in formats])
    of_group = (1,) * (x.ndim - 1 - len(last)) + last
    return torch.from_numpy(steps.reshape(len(steps), *of_group)).to(x.device, dtype)


def _steps(formats: Sequence[pq.NumberFormat], x: torch.Tensor) -> torch.Tensor:
    """Factors of the integers, per group: the scales in the dtype of ``x`` if exact there, else in float64."""
    exact = steps_of(formats, x, torch.float64)
    steps = exact.to(x.dtype)
    return steps if torch.equal(steps.double(), exact) else exact


def uniform(x: torch.Tensor, scale: torch.Tensor, step: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Uniform quantization to aligned values, PTQ4ViT Eq. 2; ``step`` is ``scale`` as it is multiplied by."""
    return (x / scale).round_().clamp_(low, high).mul_(step)


def twin_softmax(
    x: torch.Tensor, scale: torch.Tensor, two_to_m: torch.Tensor, bits: int, range_choice: str = "paper"
) -> torch.Tensor:
    """Twin uniform quantization of values in [0, 1], PTQ4ViT Eq. 4.

    ``scale`` is that of R1, a power of two; R1 is [0, 2**-m), which is [0, 2**(bits-1) * scale).
    """
    if range_choice == "nearest":
        return _nearest(x, scale, two_to_m, bits)
    low = _magnitude(x, scale, scale, bits)
    coarse = scale * two_to_m
    high = _magnitude(x, coarse, coarse, bits)
    return torch.where(x < scale * 2 ** (bits - 1), low, high)


def twin_gelu(
    x: torch.Tensor, scale: torch.Tensor, step: torch.Tensor, two_to_m: torch.Tensor, bits: int,
    range_choice: str = "paper",
) -> torch.Tensor:  # fmt: skip
    """Twin uniform quantization of values after GELU, PTQ4ViT Eq. 4: R1 holds the negative ones, R2 the positive.

    The sign alone decides the range in ``nearest`` too, which differs by its ties only: to the smaller magnitude.
    """
    to_zero = range_choice == "nearest"
    negative = _magnitude(-x, scale, step, bits, to_zero).neg_()
    return torch.where(x < 0, negative, _magnitude(x, scale * two_to_m, step * two_to_m, bits, to_zero))


def _magnitude(
    x: torch.Tensor, scale: torch.Tensor, step: torch.Tensor, bits: int, ties_to_zero: bool = False
) -> torch.Tensor:
    """x on an unsigned grid of bits - 1 bits: 0 .. (2**(bits-1) - 1) * step."""
    t = x / scale
    t = _round_ties_to_zero(t) if ties_to_zero else t.round_()
    return t.clamp_(0, 2 ** (bits - 1) - 1).mul_(step)


def _nearest(x: torch.Tensor, scale: torch.Tensor, two_to_m: torch.Tensor, bits: int) -> torch.Tensor:
    """Whichever range has the nearer point, R1 on a tie; compared in float64, as the format does."""
    top = 2 ** (bits - 1) - 1
    step = two_to_m.double()
    t = (x / scale).double().clamp_(min=0).minimum(top * step)
    first = _round_ties_to_zero(t).clamp_(max=top)
    second = _round_ties_to_zero(t / step).clamp_(max=top) * step
    return torch.where((t - second).abs() < (t - first).abs(), second, first).to(x.dtype) * scale


def _round_ties_to_zero(t: torch.Tensor) -> torch.Tensor:
    """Nearest integer of t >= 0; the fraction is exact, so 0.5 - 1 ulp is no tie.  Negative t are clamped later."""
    whole = t.trunc()
    return whole + (t - whole > 0.5)


def decode_codes(codes: Sequence[AnyArray], like: torch.Tensor) -> torch.Tensor:
    """The real values of one array of codes per group, [G, ...], in the dtype and on the device of ``like``.

    One product as in :func:`fake_quantize`: the two give the same bits for codes that were rounded.
    """
    dtype = like.dtype if like.dtype in (torch.float32, torch.float64) else torch.float32
    plain = [c for c in codes if isinstance(c, pq.QuantizedArray)]
    if len(plain) < len(codes):
        reals = torch.stack([torch.from_numpy(c.dequantize()) for c in codes])
        return reals.to(like.device, dtype).to(like.dtype)
    aligned = torch.stack([torch.from_numpy(c.aligned()) for c in plain]).to(like.device, dtype)
    return aligned.mul_(_steps([c.format for c in plain], aligned)).to(like.dtype)


def _released(x: torch.Tensor, formats: Sequence[Format]) -> torch.Tensor:
    """Values of PTQ4ViT's released code: both clamped ranges, added (:mod:`ptqsim.formats.compared.released`)."""
    first = formats[0]
    top = 2 ** (first.bits - 1) - 1
    scale = per_group([f.scale for f in formats], x)
    if isinstance(first, ReleasedTwinSoftmax):
        split = per_group([f.split for f in formats if isinstance(f, ReleasedTwinSoftmax)], x)
        low = (x.clamp(min=0).minimum(split) / scale).round_().clamp_(0, top).mul_(scale)
        high: torch.Tensor = (x.maximum(split).clamp(max=1) * top).round_().clamp_(0, top).div_(top)
        return high.add_(low)
    positive = per_group([f.positive_scale for f in formats if isinstance(f, ReleasedTwinGELU)], x)
    negative = (-x / scale).round_().clamp_(0, top + 1).mul_(scale)  # one more than the positive range has
    return (x / positive).round_().clamp_(0, top).mul_(positive).sub_(negative)
