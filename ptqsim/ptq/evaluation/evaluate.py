"""What a network, or a quantized model in its current mode, gives on labeled images; the accuracy of classifiers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.datasets.load import Dataset
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.network.task import check_outputs
from ptqsim.ptq.threads import each

BATCH: Final = 50
"""Images at a time: enough to keep the products busy, and few enough that what lies between them stays in the cache."""


@dataclass(frozen=True)
class Outputs(ABC):
    """Outputs of a network on a data set.

    Attributes
    ----------
    logits : float tensor [N, ...]
    labels : int64 tensor [N]
    """

    logits: torch.Tensor
    labels: torch.Tensor

    @property
    def images(self) -> int:
        return len(self.labels)

    @property
    @abstractmethod
    def predictions(self) -> torch.Tensor:
        """What the network decides for, int64 [N, ...]."""

    @property
    @abstractmethod
    def metrics(self) -> dict[str, float]:
        """What the outputs are worth; the first is what a network is known by."""


@dataclass(frozen=True)
class Evaluation(Outputs):
    """Logits [N, classes] on a data set of classification, and what follows from them."""

    @property
    def predictions(self) -> torch.Tensor:
        """The class with the largest logit, [N]."""
        return self.logits.argmax(dim=1)

    @property
    def metrics(self) -> dict[str, float]:
        return {"top1": self.top1, "cross_entropy": self.cross_entropy}

    @property
    def top1(self) -> float:
        """Percent of images whose largest logit is that of their label."""
        return 100.0 * float((self.predictions == self.labels).double().mean())

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
        Images with a different prediction.
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
    batch: int = BATCH,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Run a classifier over the first ``limit`` images of a data set.

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
    outputs, truths = predict(model, data, limit=limit, batch=batch, progress=progress)
    check_outputs(model.model if isinstance(model, QuantizedModel) else model, outputs, len(truths))
    if int(truths.max()) >= outputs.shape[1]:
        raise ValueError(
            f"{data.name} has class {int(truths.max())}, but the model knows {outputs.shape[1]} classes: "
            "choose data with the classes that the model was trained on"
        )
    return Evaluation(outputs, truths)


def predict(
    model: nn.Module | QuantizedModel,
    data: Dataset,
    *,
    limit: int | None,
    batch: int,
    progress: Callable[[int, int], None],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs of a network on the first ``limit`` images, and their labels; arguments as for :func:`evaluate`."""
    if limit is not None and limit < 1:
        raise ValueError(f"the number of images is {limit}; legal is 1 to {len(data)}")
    total = len(data) if limit is None else min(limit, len(data))
    network = model.model if isinstance(model, QuantizedModel) else model
    parameter = next(network.parameters())
    device = parameter.device

    def run(indices: range) -> tuple[int, torch.Tensor, torch.Tensor]:
        images, truth = data.read(indices)
        with torch.no_grad():
            return indices.start, model(images.to(device, parameter.dtype)).float().cpu(), truth

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
    return outputs, truths


def difference(one: Outputs, other: Outputs) -> Difference:
    """Compare two evaluations of the same images."""
    if one.logits.shape != other.logits.shape:
        raise ValueError(
            f"logits of shapes {tuple(one.logits.shape)} and {tuple(other.logits.shape)} can't be compared: "
            "evaluate the same images"
        )
    return Difference(
        logits=int((one.logits != other.logits).sum()),
        of=one.logits.numel(),
        predictions=int((one.predictions != other.predictions).reshape(one.images, -1).any(dim=1).sum()),
        largest=float((one.logits - other.logits).abs().max()),
    )
