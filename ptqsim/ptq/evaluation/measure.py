"""How good a network is at its task, whichever it is."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from ptqsim.ptq.datasets.detection.load import DetectionData
from ptqsim.ptq.datasets.load import Dataset
from ptqsim.ptq.evaluation.detection import DetectionEvaluation
from ptqsim.ptq.evaluation.evaluate import BATCH, Outputs, evaluate, predict
from ptqsim.ptq.network.quantized_model import QuantizedModel


def measure(
    model: nn.Module | QuantizedModel,
    data: Dataset,
    *,
    limit: int | None = None,
    batch: int = BATCH,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outputs:
    """Run a network over a data set: accuracy of classifiers, mean average precision of detectors.

    Parameters
    ----------
    model, data, limit, batch, progress
        As for :func:`ptqsim.ptq.evaluate`.

    Returns
    -------
    Evaluation or DetectionEvaluation
        By the data.
    """
    if not isinstance(data, DetectionData):
        return evaluate(model, data, limit=limit, batch=batch, progress=progress)
    outputs, numbers = predict(model, data, limit=limit, batch=batch, progress=progress)
    return DetectionEvaluation(outputs, numbers, data.ground_truth(numbers.tolist()))
