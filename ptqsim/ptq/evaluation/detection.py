"""The evaluation of a detector on a data set."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from ptqsim.common.progress import Progress, silent
from ptqsim.ptq.datasets.detection.coco import GroundTruth, mean_average_precision
from ptqsim.ptq.datasets.detection.load import DetectionData
from ptqsim.ptq.evaluation.evaluate import BATCH, Outputs, predict
from ptqsim.ptq.network.detr.outputs import split_outputs
from ptqsim.ptq.network.detr.task import Detection
from ptqsim.ptq.network.quantized_model import QuantizedModel


@dataclass(frozen=True)
class DetectionEvaluation(Outputs):
    """Outputs on a data set of detection and what follows from them.

    Attributes
    ----------
    logits : float tensor [N, queries, classes + 5]
        All outputs: logits and boxes.
    labels : int64 tensor [N]
        The images' numbers in the data set.
    truth : GroundTruth
        Ground truth of these images.
    """

    truth: GroundTruth

    @property
    def predictions(self) -> torch.Tensor:
        """Class of every query, "no object" included, [N, queries]."""
        return split_outputs(self.logits)[0].argmax(dim=-1)

    def divergence(self, exact: torch.Tensor) -> torch.Tensor:
        return Detection().divergence(self.logits, exact)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """COCO's averages of precision, in percent; NaN, with a warning, where no image has an object."""
        found = mean_average_precision(self.logits, self.truth)
        if math.isnan(next(iter(found.values()))):
            warnings.warn(
                f"none of the {self.images} images has an annotated object, so that there is no precision to measure: "
                "choose more images, or others",
                stacklevel=2,
            )
        return found


def evaluate_detections(
    model: nn.Module | QuantizedModel,
    data: DetectionData,
    *,
    limit: int | None = None,
    batch: int = BATCH,
    progress: Progress = silent,
) -> DetectionEvaluation:
    """Run a detector over images with annotated objects; parameters as for :func:`ptqsim.ptq.evaluate`."""
    outputs, numbers = predict(model, data, limit=limit, batch=batch, progress=progress)
    return DetectionEvaluation(outputs, numbers, data.ground_truth(numbers.tolist()))
