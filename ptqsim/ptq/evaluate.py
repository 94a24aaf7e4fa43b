"""Accuracy of a network, or of a quantized model in its current mode, on labeled images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.concurrency import each
from ptqsim.ptq.data import Dataset
from ptqsim.ptq.quantized_model import QuantizedModel


@dataclass(frozen=True)
class Evaluation:
    """Logits on a data set and what follows from them.

    Attributes
    ----------
    logits : float tensor [N, classes]
    labels : int64 tensor [N]
    """

    logits: torch.Tensor
    labels: torch.Tensor

    @property
    def images(self) -> int:
        return len(self.labels)

    @property
    def top1(self) -> float:
        """Percent of images whose largest logit is that of their label."""
        return 100.0 * float((self.logits.argmax(dim=1) == self.labels).double().mean())

    @property
    def cross_entropy(self) -> float:
        """Mean cross-entropy in nats."""
        return float(F.cross_entropy(self.logits.double(), self.labels))


@dataclass(frozen=True)
class Difference:
    """How far two evaluations of the same images lie apart.

    Attributes
    ----------
    logits : int
        Logits that are not equal to the last bit.
    of : int
        Logits compared.
    predictions : int
        Images whose arg max differs.
    largest : float
        Largest absolute difference of two logits.
    """

    logits: int
    of: int
    predictions: int
    largest: float


def evaluate(
    model: nn.Module | QuantizedModel,
    data: Dataset,
    *,
    limit: int | None = None,
    batch: int = 100,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Run a model over the first ``limit`` images of a data set.

    Parameters
    ----------
    model : nn.Module or QuantizedModel
    data : Dataset
    limit : int, optional
        All images by default.
    batch : int
        Images at a time.
    progress : callable
        Called with the images done and all images.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"the number of images is {limit}; legal is 1 to {len(data)}")
    total = len(data) if limit is None else min(limit, len(data))
    network = model.model if isinstance(model, QuantizedModel) else model
    device = next(network.parameters()).device

    def run(indices: range) -> tuple[int, torch.Tensor, torch.Tensor]:
        images, truth = data.read(indices)
        with torch.no_grad():
            return indices.start, model(images.to(device)).float().cpu(), truth

    # batches side by side, each on one thread; counters of a datapath are for one batch at a time
    counting = isinstance(model, QuantizedModel) and model.statistics
    workers = torch.get_num_threads() if device.type == "cpu" and not counting else 1
    parts = []
    done = 0
    for part in each(run, [range(i, min(i + batch, total)) for i in range(0, total, batch)], workers):
        parts.append(part)
        done += len(part[2])
        progress(done, total)
    parts.sort(key=lambda part: part[0])
    outputs, truths = torch.cat([part[1] for part in parts]), torch.cat([part[2] for part in parts])
    if int(truths.max()) >= outputs.shape[1]:
        raise ValueError(
            f"{data.name} has class {int(truths.max())}, but the model knows {outputs.shape[1]} classes: "
            "choose data with the classes that the model was trained on"
        )
    return Evaluation(outputs, truths)


def difference(one: Evaluation, other: Evaluation) -> Difference:
    """Compare two evaluations of the same images."""
    if one.logits.shape != other.logits.shape:
        raise ValueError(
            f"logits of shapes {tuple(one.logits.shape)} and {tuple(other.logits.shape)} can't be compared: "
            "evaluate the same images"
        )
    return Difference(
        logits=int((one.logits != other.logits).sum()),
        of=one.logits.numel(),
        predictions=int((one.logits.argmax(1) != other.logits.argmax(1)).sum()),
        largest=float((one.logits - other.logits).abs().max()),
    )
