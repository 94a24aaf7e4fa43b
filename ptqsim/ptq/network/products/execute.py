"""Integer execution of one operation: codes in, ``ptqsim.matmul`` on a simulated datapath, reals out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.datapath.spec import bits_for
from ptqsim.datapath.statistics import PrefixRange
from ptqsim.errors import LayerOverflowError

WeightCodes = list[pq.QuantizedArray]
Recorder = Callable[[str, int, pq.QuantizedArray, pq.QuantizedArray, pq.MatmulResult], None]


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
    statistics : bool
        Count overflow events into ``overflow``; slower.
    recorder : callable or None
        Called with (name, group, a, b, result) after every product.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.accumulator = pq.Accumulator(bits=32)
        self.statistics = False
        self.overflow = OverflowCount()
        self.recorder: Recorder | None = None

    def encode(self, x: torch.Tensor, formats: Sequence[pq.NumberFormat]) -> list[pq.QuantizedArray]:
        """One array of codes per group of x [G, ...], in G formats or in one for all groups."""
        values = x.detach().cpu().numpy()
        every = list(formats) * len(values) if len(formats) == 1 else formats
        return [pq.quantize(group, fmt) for group, fmt in zip(values, every, strict=True)]

    def note(self, group: int, a: pq.QuantizedArray, b: pq.QuantizedArray, result: pq.MatmulResult) -> None:
        """Count a product's overflow, and show it to the recorder, where these are asked for."""
        if self.statistics:
            self.overflow.add(result)
        if self.recorder is not None:
            self.recorder(self.name, group, a, b, result)

    def run(
        self, a: torch.Tensor, b: Sequence[pq.QuantizedArray], a_formats: Sequence[pq.NumberFormat]
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
            qa, qb = left[group % len(left)], b[group % len(b)]
            try:
                result = pq.matmul(qa, qb, self.accumulator, statistics=self.statistics)
            except pq.AccumulatorOverflowError as error:
                raise LayerOverflowError(self.name, group, error) from None
            self.note(group, qa, qb, result)
            if out is None:
                out = np.empty((groups, *result.acc.shape), np.float32)
            result.dequantize(out[group])
        return torch.from_numpy(out).to(a.device, a.dtype)
