"""Outputs of a network, or of a quantized model in its current mode, on labeled images; accuracy of classifiers."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.common.progress import Progress, silent
from ptqsim.errors import check_positive
from ptqsim.ptq.datasets.load import Dataset, place_of
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.network.tasks.task import Classification, check_outputs, task_of
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
    compared: ClassVar[bool] = False
    """True if the metrics compare with the float network."""

    @property
    def images(self) -> int:
        return len(self.labels)

    @property
    def undefined(self) -> torch.Tensor:
        """True for images with an output that is NaN, bool [N]."""
        return self.logits.isnan().flatten(1).any(dim=1)

    @property
    @abstractmethod
    def predictions(self) -> torch.Tensor:
        """Predictions of the network, int64 [N, ...]."""

    @property
    @abstractmethod
    def metrics(self) -> dict[str, float]:
        """Metrics of the outputs by name; the first is the principal one."""

    @abstractmethod
    def divergence(self, exact: torch.Tensor) -> torch.Tensor:
        """Divergence of every image's outputs from those of the float network by the task's measure, float64 [N]."""


@dataclass(frozen=True)
class Evaluation(Outputs):
    """Logits [N, classes] on a data set of classification, and what follows from them."""

    @property
    def predictions(self) -> torch.Tensor:
        """The class with the largest logit, [N]; -1, which is no class, where a logit is NaN."""
        return self.logits.argmax(dim=1).masked_fill(self.undefined, -1)

    def divergence(self, exact: torch.Tensor) -> torch.Tensor:
        return Classification().divergence(self.logits, exact)

    @property
    def metrics(self) -> dict[str, float]:
        return {"top1": self.top1, "cross_entropy": self.cross_entropy}

    @property
    def top1(self) -> float:
        """Percent of images whose largest logit is that of their label; an image with a NaN counts as wrong."""
        return 100.0 * float((self.predictions == self.labels).double().mean())

    @property
    def cross_entropy(self) -> float:
        """Mean cross-entropy in nats."""
        return float(F.cross_entropy(self.logits.double(), self.labels))


def evaluate(
    model: nn.Module | QuantizedModel,
    data: Dataset,
    *,
    limit: int | None = None,
    batch: int = BATCH,
    progress: Progress = silent,
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

    Raises
    ------
    TypeError, ValueError
        Where the model is no classifier, there is no image, ``limit`` or ``batch`` is no number of images, or the data
        have more classes than the model.

    Warns
    -----
    UserWarning
        Where the data have fewer classes than the model, or outputs are NaN.
    """
    network = model.model if isinstance(model, QuantizedModel) else model
    if (task := task_of(network).name) != Classification.name:
        raise ValueError(f"the model is one of {task}, and top-1 is of a classifier: use ptqsim.ptq.measure")
    check_classes(data, getattr(network, "num_classes", None))
    outputs, truths = predict(model, data, limit=limit, batch=batch, progress=progress)
    check_outputs(model.model if isinstance(model, QuantizedModel) else model, outputs, len(truths))
    if int(truths.max()) >= outputs.shape[1]:
        raise ValueError(
            f"{place_of(data)} has class {int(truths.max())}, but the model knows {outputs.shape[1]} classes: "
            "choose data with the classes that the model was trained on"
        )
    return Evaluation(outputs, truths)


def check_classes(data: Dataset, known: int | None) -> None:
    """Refuse data with more classes than a model knows, and warn of data with fewer.

    Parameters
    ----------
    data : Dataset
        Its attribute ``classes``, if it has one, says how many classes its labels number.
    known : int or None
        Classes of the model; nothing is checked if it doesn't say.
    """
    classes = getattr(data, "classes", None)
    if classes is None or not known:
        return
    if classes > known:
        raise ValueError(
            f"{place_of(data)} has {classes} classes, but the model knows {known}: choose data with the classes that "
            "the model was trained on"
        )
    if classes < known:
        warnings.warn(
            f"{place_of(data)} has {classes} classes, and the model knows {known}: its classes are taken for the "
            "model's first ones, which is right only if the model numbers them so",
            stacklevel=3,
        )


def predict(
    model: nn.Module | QuantizedModel,
    data: Dataset,
    *,
    limit: int | None,
    batch: int,
    progress: Progress,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs of a network on the first ``limit`` images, and their labels; arguments as for :func:`evaluate`."""
    if len(data) == 0:
        raise ValueError(f"{place_of(data)} has no images: name data with at least one")
    check_positive("the number of images", limit if limit is not None else len(data))
    check_positive("the number of images at a time", batch)
    total = len(data) if limit is None else min(limit, len(data))
    network = model.model if isinstance(model, QuantizedModel) else model
    parameter = next(network.parameters())
    device = parameter.device
    run_model = model.logits if isinstance(model, QuantizedModel) else model

    def run(indices: range) -> tuple[int, torch.Tensor, torch.Tensor]:
        images, truth = data.read(indices)
        with torch.no_grad():
            return indices.start, run_model(images.to(device, parameter.dtype)).float().cpu(), truth

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
    if undefined := int(outputs.isnan().flatten(1).any(dim=1).sum()):
        warnings.warn(
            f"{undefined} of {total} images of {place_of(data)} have outputs that are NaN: these count as wrong; look "
            "for NaN or infinity in weights and images",
            stacklevel=3,
        )
    return outputs, truths
