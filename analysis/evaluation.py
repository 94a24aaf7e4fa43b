"""Evaluation of a model with the batches side by side, each on one thread: the same bits, and no cores left idle."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from ptqsim.ptq.concurrency import each

BATCH = 50
"""Images in a batch: small enough that an interruption is answered soon."""


class Slice:
    """Some consecutive images of a data set, as a data set of their own."""

    def __init__(self, data: ptq.Dataset, indices: range) -> None:
        self.data, self.indices, self.name = data, indices, f"{data.name}[{indices.start}:{indices.stop}]"

    @property
    def fingerprint(self) -> str:
        """That of the whole, and which part it is."""
        return f"{self.data.fingerprint} {self.indices}"

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and labels, counted from the first of the slice."""
        return self.data.read([self.indices[i] for i in indices])


def evaluate(
    model: nn.Module | ptq.QuantizedModel,
    data: ptq.Dataset,
    limit: int,
    progress: Callable[[int, int], None],
    batch: int = BATCH,
) -> ptq.Evaluation:
    """Run a model over the first ``limit`` images of a data set.

    Parameters
    ----------
    model : nn.Module or QuantizedModel
        Without statistics, whose counters are not meant for several threads.
    data : Dataset
    limit : int
    progress : callable
        Called with the images done and all images.
    batch : int
        Images at a time.
    """
    total = min(limit, len(data))
    slices = [Slice(data, range(start, min(start + batch, total))) for start in range(0, total, batch)]
    parts: dict[int, ptq.Evaluation] = {}

    def work(part: Slice) -> tuple[int, ptq.Evaluation]:
        return part.indices.start, ptq.evaluate(model, part, batch=len(part))

    cores = pq.get_num_threads()
    pq.set_num_threads(1)
    try:
        for start, found in each(work, slices, cores):
            parts[start] = found
            progress(sum(part.images for part in parts.values()), total)
    finally:
        pq.set_num_threads(cores)
    ordered = [parts[start] for start in sorted(parts)]
    return ptq.Evaluation(torch.cat([part.logits for part in ordered]), torch.cat([part.labels for part in ordered]))
