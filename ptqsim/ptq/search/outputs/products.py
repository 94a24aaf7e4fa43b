"""The quantized outputs of one operation, in parts, with one operand fixed: what the scale search evaluates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ptqsim.ptq.network.products.fake_quant import Format, fake_quantize
from ptqsim.ptq.search.capture import OperationData
from ptqsim.ptq.search.objectives import Objective, Sums, UnitSummer
from ptqsim.ptq.search.outputs.factors import Factor, multiply, quantized, takes_integers

Partials = Callable[[tuple[Format, ...], int], Iterator[Sums]]
"""From a candidate and the number of a part to the sums of that part and of the parts after it."""

_PARTS: Final = 64  # of one size


class _Sizes(NamedTuple):
    """Output elements of a part: each costs a round of calls, and what is large leaves the cache."""

    smallest: int
    largest: int


_OF_CPU: Final = _Sizes(2**15, 2**18)  # a MiB in float32
# Calls that a GPU waits for take longer than most of what they ask for: there nothing is gained by giving up early.
_ELSEWHERE: Final = _Sizes(2**28, 2**28)


class Products:
    """One operation's data in parts.

    Where the score is a sum over rows or images, those that add most come first, as a few of them often add most of it,
    and every part is twice the one before.  Else rows are dealt to parts of one size.

    Parameters
    ----------
    data : OperationData
    objective : Objective
        The quantity that is summed over each output.
    constant_b : bool
        True if b is a weight, the same for all rows of a.
    typical : two tuples of formats
        Of a and of b: what the rows add is found with these.
    """

    def __init__(
        self,
        data: OperationData,
        objective: Objective,
        constant_b: bool,
        typical: tuple[tuple[Format, ...], tuple[Format, ...]],
    ) -> None:
        self.constant_b = constant_b
        self.as_codes = takes_integers(data.a, *typical)  # candidates are of one class and width
        self.error: torch.Tensor | None = None  # the mean error of each output unit, taken off every output
        units = data.images if objective.per_image else data.out.shape[1]
        sizes = _OF_CPU if data.out.device.type == "cpu" else _ELSEWHERE
        count = _part_count(units, data.out.numel(), sizes)
        dealt = [np.arange(part, units, count) for part in range(count)]
        self._cut(data, dealt)
        if objective.units is not None:
            order = np.concatenate(dealt)[np.argsort(-self._added(objective.units, typical), kind="stable")]
            self._cut(data, np.split(order, _growing_edges(units, data.out.numel() // units, sizes)))
        self.sums = [objective.prepare(part) for part in self.parts]

    def with_b(self, formats: tuple[Format, ...] | None) -> Partials:
        """Outputs for candidates of a, b being quantized in ``formats``, or float."""
        fixed = self._all_b(formats)
        as_codes = self.as_codes and formats is not None

        def partials(candidate: tuple[Format, ...], first: int) -> Iterator[Sums]:
            for part, b_hat, sums in list(zip(self.parts, fixed, self.sums, strict=True))[first:]:
                yield sums(self._product(part, quantized(part.a, candidate, as_codes), b_hat))

        return partials

    def with_a(self, formats: tuple[Format, ...]) -> Partials:
        """Outputs for candidates of b, a being quantized in ``formats``."""
        fixed = [quantized(part.a, formats, self.as_codes) for part in self.parts]

        def partials(candidate: tuple[Format, ...], first: int) -> Iterator[Sums]:
            shared = quantized(self.parts[0].b, candidate, self.as_codes) if self.constant_b else None
            for part, a_hat, sums in list(zip(self.parts, fixed, self.sums, strict=True))[first:]:
                b_hat = quantized(part.b, candidate, self.as_codes) if shared is None else shared
                yield sums(self._product(part, a_hat, b_hat))

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

    def _all_b(self, formats: tuple[Format, ...] | None) -> list[Factor]:
        if formats is None:
            return [part.b for part in self.parts]
        if self.constant_b:
            return [quantized(self.parts[0].b, formats, self.as_codes)] * len(self.parts)
        return [quantized(part.b, formats, self.as_codes) for part in self.parts]

    def _product(self, part: OperationData, a_hat: Factor, b_hat: Factor) -> torch.Tensor:
        out = multiply(a_hat, b_hat, self.buffer[: part.out.numel()].view(part.out.shape))
        return out if self.error is None else out.sub_(self.error)

    def _added(
        self,
        units: Callable[[OperationData], UnitSummer],
        typical: tuple[tuple[Format, ...], tuple[Format, ...]],
    ) -> NDArray[np.float64]:
        """Contribution of each unit to the score, relative to its group's score, summed over the groups."""
        fixed = self._all_b(typical[1])
        parts = zip(self.parts, fixed, strict=True)
        added = [
            units(part)(self._product(part, quantized(part.a, typical[0], self.as_codes), b_hat))
            for part, b_hat in parts
        ]
        all_units = np.concatenate(added, axis=1)
        totals = all_units.sum(axis=1, keepdims=True)
        usable = (totals > 0) & np.isfinite(totals)
        shares: NDArray[np.float64] = (all_units / np.where(usable, totals, 1.0)).sum(axis=0)
        return shares

    def _cut(self, data: OperationData, parts: list[NDArray[np.int64]]) -> None:
        """Make the parts, of the units given."""
        length = data.out.shape[1] // sum(map(len, parts))

        def taken(x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            return x.index_select(1, rows.to(x.device))

        self.parts = []
        for units in parts:
            rows = torch.from_numpy((units[:, None] * length + np.arange(length)).reshape(-1))
            b = data.b if self.constant_b else taken(data.b, rows)
            grad = None if data.grad is None else taken(data.grad, rows)
            self.parts.append(OperationData(taken(data.a, rows), b, taken(data.out, rows), grad, len(units)))
        self.buffer = data.out.new_empty(max(part.out.numel() for part in self.parts))


def _part_count(units: int, elements: int, sizes: _Sizes) -> int:
    """At most one part per unit, and none too small or too large if that can be had."""
    wanted = max(min(_PARTS, elements // sizes.smallest), elements // sizes.largest)
    return max(1, min(units, wanted))


def _growing_edges(units: int, of_unit: int, sizes: _Sizes) -> list[int]:
    """Boundaries between parts, each part twice as long as the one before."""
    edges = [max(1, sizes.smallest // max(of_unit, 1))]
    while edges[-1] < units:
        last = edges[-1] - (edges[-2] if len(edges) > 1 else 0)
        edges.append(edges[-1] + min(2 * last, max(1, sizes.largest // max(of_unit, 1))))
    return edges[:-1]
