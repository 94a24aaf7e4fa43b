"""The measurement of a network by the metrics of its task."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from ptqsim.common.progress import Progress, silent
from ptqsim.ptq.datasets.load import Dataset
from ptqsim.ptq.evaluation.detection import evaluate_detections
from ptqsim.ptq.evaluation.embedding import evaluate_embeddings
from ptqsim.ptq.evaluation.evaluate import BATCH, Outputs, evaluate
from ptqsim.ptq.network.detr.task import Detection
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.network.tasks.embedding import Embedding
from ptqsim.ptq.network.tasks.task import Classification, task_of


def measure(
    model: nn.Module | QuantizedModel,
    data: Dataset,
    *,
    limit: int | None = None,
    batch: int = BATCH,
    progress: Progress = silent,
) -> Outputs:
    """Run a network over a data set: top-1 of classifiers, mean average precision of detectors, cosine of embeddings.

    Parameters
    ----------
    model, data, limit, batch, progress : nn.Module or QuantizedModel, Dataset, int or None, int and Progress
        As for :func:`ptqsim.ptq.evaluate`.

    Returns
    -------
    Evaluation, DetectionEvaluation or EmbeddingEvaluation
        By the task of the network.
    """
    network = model.model if isinstance(model, QuantizedModel) else model
    measures: dict[str, Callable[..., Outputs]] = {
        Classification.name: evaluate,
        Detection.name: evaluate_detections,
        Embedding.name: evaluate_embeddings,
    }
    return measures[task_of(network).name](model, data, limit=limit, batch=batch, progress=progress)
