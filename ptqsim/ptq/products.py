"""The quantized outputs of one operation, in parts, with one operand fixed: what the scale search evaluates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

import torch

from ptqsim.ptq.capture import OperationData
from ptqsim.ptq.fake_quant import Format, fake_quantize
from ptqsim.ptq.objectives import Objective, Sums

Partials = Callable[[tuple[Format, ...]], Iterator[Sums]]
"""From a candidate to the sums of its parts."""

_PART: Final = 2**17  # output elements in one part: half a MiB in float32
_PARTS: Final = 8  # at most; each costs a round of calls


class Products:
    """One operation's data in parts.

    Parameters
    ----------
    data : OperationData
    objective : Objective
        What is summed over each output.
    constant_b : bool
        Whether b is a weight, the same for all rows of a.
    """

    def __init__(self, data: OperationData, objective: Objective, constant_b: bool) -> None:
        self.constant_b = constant_b
        self.parts = _split(data, constant_b, data.images if objective.per_image else data.out.shape[1])
        self.sums = [objective.prepare(part) for part in self.parts]
        self.buffers = [torch.empty_like(part.out) for part in self.parts]
        self.error: torch.Tensor | None = None  # the mean error of each output unit, taken off every output

    def with_b(self, formats: tuple[Format, ...] | None) -> Partials:
        """Outputs for candidates of a, b being quantized in ``formats``, or float."""
        fixed = self._all_b(formats)

        def partials(candidate: tuple[Format, ...]) -> Iterator[Sums]:
            for part, b_hat, buffer, sums in zip(self.parts, fixed, self.buffers, self.sums, strict=True):
                yield sums(self._product(fake_quantize(part.a, candidate), b_hat, buffer))

        return partials

    def with_a(self, formats: tuple[Format, ...]) -> Partials:
        """Outputs for candidates of b, a being quantized in ``formats``."""
        fixed = [fake_quantize(part.a, formats) for part in self.parts]

        def partials(candidate: tuple[Format, ...]) -> Iterator[Sums]:
            shared = fake_quantize(self.parts[0].b, candidate) if self.constant_b else None
            for part, a_hat, buffer, sums in zip(self.parts, fixed, self.buffers, self.sums, strict=True):
                b_hat = fake_quantize(part.b, candidate) if shared is None else shared
                yield sums(self._product(a_hat, b_hat, buffer))

        return partials

    def correct(self, a_formats: tuple[Format, ...], b_formats: tuple[Format, ...]) -> None:
        """From now on take off E[O_hat - O] of these formats (Liu et al. Eq. 15), of products that have a bias."""
        if not self.constant_b:
            return
        b_hat = fake_quantize(self.parts[0].b, b_formats)
        total = torch.zeros_like(self.parts[0].out[:, 0], dtype=torch.float64)
        for part in self.parts:
            total += (torch.matmul(fake_quantize(part.a, a_formats), b_hat) - part.out).sum(dim=1, dtype=torch.float64)
        rows = sum(part.out.shape[1] for part in self.parts)
        self.error = (total / rows).to(b_hat.dtype)[:, None]  # [G, 1, N]

    def _all_b(self, formats: tuple[Format, ...] | None) -> list[torch.Tensor]:
        if formats is None:
            return [part.b for part in self.parts]
        if self.constant_b:
            return [fake_quantize(self.parts[0].b, formats)] * len(self.parts)
        return [fake_quantize(part.b, formats) for part in self.parts]

    def _product(self, a_hat: torch.Tensor, b_hat: torch.Tensor, buffer: torch.Tensor) -> torch.Tensor:
        out = torch.matmul(a_hat, b_hat, out=buffer)
        return out if self.error is None else out.sub_(self.error)


def _split(data: OperationData, constant_b: bool, units: int) -> list[OperationData]:
    """The data in parts of whole units along axis 1: rows, or images."""
    length = data.out.shape[1] // units
    count = max(1, min(_PARTS, data.out.numel() // _PART, units))
    edges = [units * i // count for i in range(count + 1)]

    def cut(x: torch.Tensor, low: int, high: int) -> torch.Tensor:
        return x[:, low * length : high * length].contiguous()

    return [
        OperationData(
            cut(data.a, low, high),
            data.b if constant_b else cut(data.b, low, high),
            cut(data.out, low, high),
            None if data.grad is None else cut(data.grad, low, high),
            high - low,
        )
        for low, high in pairwise(edges)
    ]
