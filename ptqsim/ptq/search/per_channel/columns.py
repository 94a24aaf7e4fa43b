"""A weight with a scale for each of its output channels: its candidates, and its outputs channel by channel.

A column of the output depends on one column of the weight. So the columns with any of their candidate scales are rows
of one left operand, (W^T)[P, K], that is multiplied by the transposed input [K, rows]: only the columns and candidates
that are still in question are computed, in one product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.formats.array import encoded
from ptqsim.kernels.calibration import channels as kernels
from ptqsim.ptq.network.products.fake_quant import Format, uniform
from ptqsim.ptq.search.candidates import UniformCandidates
from ptqsim.ptq.search.outputs.factors import EXACT, CodedFactor, quantized
from ptqsim.ptq.search.outputs.products import Products
from ptqsim.ptq.search.per_channel.objectives import ChannelObjective, Judge, Judged

Channels = NDArray[np.intp]

_CODES: Final = 2**23
"""Weight codes that are made at once, of all candidates of some channels."""


def as_channels(weight: torch.Tensor) -> torch.Tensor:
    """A weight [G, K, N / G] with every column as a group of its own: [N, K, 1]."""
    return weight.transpose(1, 2).reshape(-1, weight.shape[1], 1)


@dataclass(frozen=True)
class ChannelCandidates:
    """Candidate scales of a weight [G, K, N / G], one for each of the N columns.

    Attributes
    ----------
    columns : UniformCandidates
        Those of `as_channels`, [C, N].
    groups : int
        G, the number of formats that are made of a choice.
    """

    columns: UniformCandidates
    groups: int

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def channels(self) -> int:
        return self.columns.groups

    @property
    def typical(self) -> tuple[Format, ...]:
        """The formats of the candidate in the middle."""
        return self.choose([len(self) // 2] * self.channels)

    def choose(self, chosen: Sequence[int]) -> tuple[Format, ...]:
        """A format for each group, of candidate ``chosen[n]`` for each channel n."""
        scales = self.columns.scales[np.asarray(chosen), np.arange(self.channels)].reshape(self.groups, -1)
        return tuple(pq.Uniform(self.columns.bits, of_group, axis=-1) for of_group in scales)

    def choose_normalized(self, chosen: Sequence[int]) -> tuple[list[float], ...]:
        """Least, median and greatest multiple of max / 2**(bits-1) in each group."""
        multiples = self.columns.multiples[np.asarray(chosen), np.arange(self.channels)].reshape(self.groups, -1)
        return tuple(np.quantile(of_group, [0, 0.5, 1]).tolist() for of_group in multiples)


class ChannelProducts:
    """Columns of the quantized outputs of one operation, with its left operand fixed.

    Parameters
    ----------
    products : Products
        The operation's data in parts, with a constant right operand.
    candidates : ChannelCandidates
    a_formats : tuple of formats
        Of the left operand.
    objective : ChannelObjective
    """

    def __init__(
        self, products: Products, candidates: ChannelCandidates, a_formats: tuple[Format, ...],
        objective: ChannelObjective,
    ) -> None:  # fmt: skip
        first = products.parts[0]
        self.weight = as_channels(first.b)[:, :, 0].contiguous()  # [N, K]
        self.candidates, self.as_codes = candidates, products.as_codes
        self.error = None if products.error is None else products.error.reshape(-1, 1).cpu().numpy()
        # One left operand for all channels, or one for each group of them (a convolution in groups).
        self.operands = len(first.a)
        self._inputs = [quantized(part.a, a_formats, self.as_codes) for part in products.parts]
        self._transposed: dict[tuple[int, int], pq.QuantizedArray] = {}
        self._judges: list[Judge] = []
        for part in products.parts:
            grad = None if part.grad is None else _columns(part.grad)
            self._judges.append(objective.prepare(_columns(part.out), grad, part.images))
        self.parts = len(products.parts)

    def blocks(self) -> Iterator[Channels]:
        """The channels in blocks, of one left operand each, small enough for the codes of all candidates."""
        channels, depth = self.weight.shape
        size = max(1, _CODES // (len(self.candidates) * max(depth, 1)))
        each = channels // self.operands
        for start in range(0, channels, each):
            for first in range(start, start + each, size):
                yield np.arange(first, min(first + size, start + each))

    def judged(self, candidate: NDArray[np.intp], channel: Channels, start: int, stop: int) -> Iterator[Judged]:
        """The parts `start` to `stop` of some channels of one block, each with a candidate."""
        operand = int(channel[0]) * self.operands // len(self.weight)
        scales = self.candidates.columns.scales[candidate, channel]
        product = self._of_codes(channel, scales) if self.as_codes else self._of_values(channel, scales)
        for part in range(start, stop):
            columns = product(part, operand)
            if self.error is not None:
                columns -= self.error[channel]
            yield self._judges[part](columns, channel)

    def own_errors(self, candidate: NDArray[np.intp], channel: Channels) -> NDArray[np.float64]:
        """Squared error of the weight itself, for some channels with a candidate each."""
        exact = self.weight[torch.from_numpy(channel)].double()
        rounded = self._rounded(channel, self.candidates.columns.scales[candidate, channel]).double()
        errors: NDArray[np.float64] = (rounded - exact).square().sum(dim=1).cpu().numpy()
        return errors

    def _of_codes(self, channel: Channels, scales: NDArray[np.float64]) -> Callable[[int, int], NDArray[np.float32]]:
        bits, half = self.candidates.columns.bits, 1 << (self.candidates.columns.bits - 1)
        codes = np.empty((len(channel), self.weight.shape[1]), np.uint8)
        limits = np.float32(-half), np.float32(half - 1), np.int32(2 * half - 1)
        kernels.encode(self.weight.numpy(), channel, scales.astype(np.float32), *limits, codes)
        left = encoded(codes, pq.Uniform(bits, 1.0))

        def product(part: int, operand: int) -> NDArray[np.float32]:
            given = self._inputs[part]
            assert isinstance(given, CodedFactor)
            key = part, operand
            if key not in self._transposed:
                self._transposed[key] = given.transposed(operand)
            result = pq.matmul(left, self._transposed[key], EXACT, statistics=False)
            units = given.scales[operand % len(given.scales)] * scales
            return result.dequantize(np.empty(result.acc.shape, np.float32), units)

        return product

    def _of_values(self, channel: Channels, scales: NDArray[np.float64]) -> Callable[[int, int], NDArray[np.float32]]:
        left = self._rounded(channel, scales)

        def product(part: int, operand: int) -> NDArray[np.float32]:
            given = self._inputs[part]
            assert isinstance(given, torch.Tensor)
            columns: NDArray[np.float32] = torch.matmul(left, given[operand].T).cpu().numpy()
            return columns

        return product

    def _rounded(self, channel: Channels, scales: NDArray[np.float64]) -> torch.Tensor:
        """The weights of some channels as they are stored with these scales."""
        chosen = self.weight[torch.from_numpy(channel)]
        steps = torch.from_numpy(scales[:, None]).to(chosen.device, chosen.dtype)
        half = 1 << (self.candidates.columns.bits - 1)  # weights are symmetric
        return uniform(chosen, steps, steps, -half, half - 1)


def _columns(out: torch.Tensor) -> NDArray[np.float32]:
    """An output [G, rows, N / G] with its columns as rows: [N, rows]."""
    return out.transpose(1, 2).reshape(-1, out.shape[1]).contiguous().cpu().numpy()
