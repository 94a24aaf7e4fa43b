"""Quantized operands of a product and what they multiply to: in integers where that is exact, in floats elsewhere.

On the CPU, codes of up to 8 bits are multiplied as integers, several times as fast as floats: every output is the exact
sum times both scales in float64, rounded to float32, on every machine.  Wider codes, the released formats, which have
none, and other devices take the float32 product of fake-quantized values, whose sums round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.formats.array import encoded
from ptqsim.formats.groups import encode_groups
from ptqsim.ptq.network.products.blocked import plain_formats
from ptqsim.ptq.network.products.fake_quant import Format, fake_quantize
from ptqsim.ptq.search.outputs.sums import is_plain


class CodedFactor(NamedTuple):
    """The codes of an operand [G, ...].

    Attributes
    ----------
    arrays : tuple of QuantizedArray
        One [G, ...] of all groups, or where these differ in more than the scale, one [1, ...] of each.
    scales : tuple of G float, or of G arrays
        Of a weight with scales per channel the scales of its columns.
    """

    arrays: tuple[pq.QuantizedArray, ...]
    scales: tuple[Any, ...]

    def of_group(self, group: int) -> pq.QuantizedArray:
        """The codes [1, ...] of a group; of the only one, where there is one."""
        if len(self.arrays) == 1:
            return self.arrays[0] if len(self.scales) == 1 else self.arrays[0][group : group + 1]
        return self.arrays[group]

    def transposed(self, group: int) -> pq.QuantizedArray:
        """The codes of a group of an operand [G, rows, K], as [K, rows]; contiguous, as they are multiplied often."""
        array = self.of_group(group)
        return encoded(np.ascontiguousarray(array.codes[0].T), array.format)


Factor = torch.Tensor | CodedFactor
"""An operand [G, ...]: its values, or its codes."""

_DECODABLE: Final = (pq.Uniform, pq.TwinSoftmax, pq.TwinGELU)
EXACT: Final = pq.Accumulator(bits=63)  # no sum of such codes needs more
_WIDEST: Final = 8  # of which a mantissa is a byte


def takes_integers(x: torch.Tensor, *operands: Sequence[Format]) -> bool:
    """True if operands in these formats, made from values like ``x``, are multiplied as integers."""
    every = [fmt for formats in operands for fmt in formats]
    return is_plain(x) and all(isinstance(fmt, _DECODABLE) and fmt.bits <= _WIDEST for fmt in every)


def quantized(x: torch.Tensor, formats: Sequence[Format], as_codes: bool) -> Factor:
    """An operand in its formats.

    Parameters
    ----------
    x : float tensor [G, ...]
    formats : sequence of G formats, or of one for all groups
    as_codes : bool
        For a product of integers; see :func:`takes_integers`.
    """
    if not as_codes:
        return fake_quantize(x, formats)
    plain = plain_formats(formats)
    codes = encode_groups(plain, np.ascontiguousarray(x.numpy()))
    units = [_unscaled(fmt) for fmt in plain]
    if all(unit is units[0] or unit == units[0] for unit in units):
        arrays: tuple[pq.QuantizedArray, ...] = (encoded(codes, units[0]),)
    else:
        arrays = tuple(encoded(codes[g : g + 1].copy(), unit) for g, unit in enumerate(units))
    return CodedFactor(arrays, tuple(fmt.scale for fmt in formats) * (len(x) // len(formats)))


def _unscaled(fmt: pq.NumberFormat) -> pq.NumberFormat:
    """The format with the scale 1, if it has one of its own: what the simulator keeps of it serves all scales."""
    if isinstance(fmt, pq.Uniform):
        return _unit(fmt.__class__, bits=fmt.bits, rounding=fmt.rounding, signed=fmt.signed, zero_point=fmt.zero_point)
    if isinstance(fmt, pq.TwinGELU):
        return _unit(
            fmt.__class__, bits=fmt.bits, shift=fmt.shift, rounding=fmt.rounding, range_choice=fmt.range_choice
        )
    return fmt


@cache
def _unit(kind: Callable[..., pq.NumberFormat], **fields: Any) -> pq.NumberFormat:
    return kind(scale=1.0, **fields)


def multiply(a: Factor, b: Factor, out: torch.Tensor) -> torch.Tensor:
    """A B into ``out``, which is returned.

    Parameters
    ----------
    a, b : Factor
        [Ga, ..., M, K] and [Gb, ..., K, N], both values or both codes; one group is broadcast.
    out : float tensor [G, ..., M, N]
    """
    if isinstance(a, CodedFactor) and isinstance(b, CodedFactor):
        _multiply_codes(a, b, out.numpy())
        return out
    assert isinstance(a, torch.Tensor)
    assert isinstance(b, torch.Tensor)
    return torch.matmul(a, b, out=out)


def _multiply_codes(a: CodedFactor, b: CodedFactor, out: NDArray[np.float32]) -> None:
    groups = len(out)
    scales = [a.scales[g % len(a.scales)] * b.scales[g % len(b.scales)] for g in range(groups)]
    if len(a.arrays) == len(b.arrays) == 1:
        pq.matmul(a.arrays[0], b.arrays[0], EXACT, statistics=False).dequantize(out, _units(scales, out.ndim))
        return
    for g in range(groups):
        result = pq.matmul(a.of_group(g), b.of_group(g), EXACT, statistics=False)
        result.dequantize(out[g : g + 1], _units(scales[g : g + 1], out.ndim))


def _units(scales: list[Any], dimensions: int) -> NDArray[np.float64]:
    """One scale per group, or one per group and column, shaped to broadcast over an output [G, ..., M, N]."""
    units = np.array(scales, np.float64)
    return units.reshape(len(units), *[1] * (dimensions - 2), -1)
