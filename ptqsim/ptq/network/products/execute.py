"""Integer execution of one operation: codes in, ``ptqsim.matmul`` on a simulated datapath, reals out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.datapath.blocks.registers import BlockRegister
from ptqsim.datapath.spec import bits_for
from ptqsim.datapath.statistics import PrefixRange
from ptqsim.errors import LayerOverflowError
from ptqsim.ptq.network.products.blocked import AnyArray, Blocked, as_blocks

WeightCodes = Sequence[AnyArray]
Recorder = Callable[[str, int, AnyArray, AnyArray, pq.MatmulResult], None]


@dataclass
class OverflowCount:
    """Overflow of one operation since its counters were last reset.

    Attributes
    ----------
    computed, outputs, events : int
        Output elements computed, those with at least one overflow event, and the events (docs/accumulation.md).
    prefixes : PrefixRange or None
        Range of the exact prefix sums; None before anything was counted.
    """

    computed: int = 0
    outputs: int = 0
    events: int = 0
    prefixes: PrefixRange | None = None

    @property
    def bits_needed(self) -> int:
        """The width that would have been exact for all of them, 0 if nothing was counted."""
        return 0 if self.prefixes is None else bits_for(self.prefixes.lowest, self.prefixes.highest)

    def add(self, result: pq.MatmulResult) -> None:
        self.computed += result.acc.size
        if result.overflow is not None:
            self.outputs += result.overflow.outputs
            self.events += result.overflow.events
            seen = result.overflow.prefixes
            self.prefixes = seen if self.prefixes is None else self.prefixes.joined(seen)


class IntegerProduct:
    """The datapath of one operation, and what was seen on it.

    Attributes
    ----------
    accumulator : ptqsim.Accumulator
        The accumulator in which products are summed.
    register : ptqsim.FixedPoint, Float32 or AlignedFloat32
        The register of blocks, in which they are summed where an operand has a block format.
    statistics : bool
        Count overflow events into ``overflow``; slower.
    recorder : callable or None
        Called with (name, group, a, b, result) after every product.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.accumulator = pq.Accumulator(bits=32)
        self.register: BlockRegister = pq.Float32()
        self.statistics = False
        self.overflow = OverflowCount()
        self.recorder: Recorder | None = None

    def encode(self, x: torch.Tensor, formats: Sequence[pq.NumberFormat | Blocked]) -> list[AnyArray]:
        """One array of codes per group of x [G, ...], in G formats or in one for all groups."""
        values = x.detach().cpu().numpy()
        every = list(formats) * len(values) if len(formats) == 1 else formats
        return [
            fmt.encode(group) if isinstance(fmt, Blocked) else pq.quantize(group, fmt)
            for group, fmt in zip(values, every, strict=True)
        ]

    def note(self, group: int, a: AnyArray, b: AnyArray, result: pq.MatmulResult) -> None:
        """Count a product's overflow, and show it to the recorder, where these are asked for."""
        if self.statistics:
            self.overflow.add(result)
        if self.recorder is not None:
            self.recorder(self.name, group, a, b, result)

    def run(
        self, a: torch.Tensor, b: Sequence[AnyArray], a_formats: Sequence[pq.NumberFormat | Blocked]
    ) -> torch.Tensor:
        """a [Ga, ..., M, K] times the codes of b, one [..., K, N] per group -> float tensor [G, ..., M, N].

        Raises
        ------
        ptqsim.AccumulatorOverflowError
            In trap mode; the message names the layer and the group.
        """
        left = self.encode(a, a_formats)
        groups = max(len(left), len(b))
        out: NDArray[np.float32] | None = None
        for group in range(groups):
            qa, qb = as_blocks(left[group % len(left)], b[group % len(b)])
            try:
                result = self._product(qa, qb)
            except pq.AccumulatorOverflowError as error:
                raise LayerOverflowError(self.name, group, error) from None
            self.note(group, qa, qb, result)
            if out is None:
                out = np.empty((groups, *result.acc.shape), np.float32)
            result.dequantize(out[group])
        return torch.from_numpy(out).to(a.device, a.dtype)

    def _product(self, a: AnyArray, b: AnyArray) -> pq.MatmulResult:
        if isinstance(a, pq.BlockArray) and isinstance(b, pq.BlockArray):
            return pq.matmul(a, b, self.register, statistics=self.statistics)
        assert isinstance(a, pq.QuantizedArray)
        assert isinstance(b, pq.QuantizedArray)
        return pq.matmul(a, b, self.accumulator, statistics=self.statistics)
