"""The evaluation of a feature extractor: its embeddings beside those of the float network."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.common.progress import Progress, silent
from ptqsim.ptq.datasets.load import Dataset
from ptqsim.ptq.evaluation.evaluate import BATCH, Outputs, predict
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.network.tasks.embedding import Embedding, normalized
from ptqsim.ptq.network.tasks.task import check_outputs

_AT_ONCE: Final = 2**24  # similarities in memory
_TIE: Final = 1e-9  # of similarities: those of the same image twice are rounded differently by where they stand


@dataclass(frozen=True)
class EmbeddingEvaluation(Outputs):
    """Embeddings of images and what follows from them.

    Attributes
    ----------
    logits : float tensor [N, width]
        The embeddings, as the network gives them.
    labels : int64 tensor [N]
        The images' numbers, or their labels where the data have some; they play no part.
    exact : float tensor [N, width]
        The float network's embeddings of the same images.
    """

    exact: torch.Tensor
    compared: ClassVar[bool] = True

    @cached_property
    def predictions(self) -> torch.Tensor:
        """The nearest other image of every image, [N]; see :func:`nearest_neighbors`."""
        return nearest_neighbors(self.logits)

    @property
    def cosine(self) -> float:
        """Mean cosine similarity to the float network's embedding of the same image; what is not finite counts as 0."""
        similar = F.cosine_similarity(self.logits.double(), self.exact.double(), dim=1)
        return float(similar.nan_to_num(0.0).mean())

    @property
    def neighbor_agreement(self) -> float:
        """Percent of images whose nearest other image is the float network's; NaN, with a warning, for one image."""
        if self.images < 2:
            warnings.warn(
                "one image has no other image for a neighbor, so that there is no agreement to measure: choose more",
                stacklevel=2,
            )
            return math.nan
        same = (self.predictions == nearest_neighbors(self.exact)) & (self.predictions >= 0)
        return 100.0 * float(same.double().mean())

    def divergence(self, exact: torch.Tensor) -> torch.Tensor:
        return Embedding().divergence(self.logits, exact)

    @cached_property
    def metrics(self) -> dict[str, float]:
        return {"cosine": self.cosine, "neighbor_agreement": self.neighbor_agreement}


def nearest_neighbors(embeddings: torch.Tensor) -> torch.Tensor:
    """The nearest other vector of every vector by cosine, int64 [N].

    Parameters
    ----------
    embeddings : float tensor [N, width]

    Returns
    -------
    int64 tensor [N]
        Of several that are equally near the first; -1 for a vector that is not finite, and where there is no other.
    """
    count = len(embeddings)
    undefined = ~embeddings.isfinite().all(dim=1)
    units = normalized(embeddings.double().masked_fill(undefined[:, None], 0.0))
    nearest = torch.full((count,), -1)
    step = max(1, _AT_ONCE // max(count, 1))
    for start in range(0, count if count > 1 else 0, step):
        rows = torch.arange(start, min(start + step, count))
        similar = units[rows] @ units.T
        similar[rows - start, rows] = -torch.inf
        similar[:, undefined] = -torch.inf
        best = similar.amax(dim=1, keepdim=True)
        found = (similar >= best - _TIE).to(torch.uint8).argmax(dim=1)  # the first of them
        nearest[rows] = found.masked_fill(best.squeeze(1).isinf(), -1)
    return nearest.masked_fill(undefined, -1)


def evaluate_embeddings(
    model: nn.Module | QuantizedModel,
    data: Dataset,
    *,
    limit: int | None = None,
    batch: int = BATCH,
    progress: Progress = silent,
) -> EmbeddingEvaluation:
    """Run a feature extractor over images, labeled or not, and the float network beside it.

    Parameters
    ----------
    model : nn.Module or QuantizedModel
        The float network of a quantized model is its mode ``float``; a network that is not quantized is its own.
    data, limit, batch, progress : Dataset, int or None, int and Progress
        As for :func:`ptqsim.ptq.evaluate`.

    Raises
    ------
    ValueError
        As for :func:`ptqsim.ptq.evaluate`, and where a quantized model comes from a file and the float weights do not.
    """
    quantized = model if isinstance(model, QuantizedModel) else None
    network = model if quantized is None else quantized.model
    if quantized is not None and quantized.info.get("float_weights") == "decoded":
        raise ValueError(
            "embeddings are compared with the float network's, and the calibrated file holds codes in place of its "
            "weights: name them with --checkpoint or --pretrained (ptqsim.ptq.load_with_model(path, checkpoint=...))"
        )
    passes = 1 if quantized is None or quantized.mode == "float" else 2

    def told(done: int, total: int, state: str = "", /, *, before: int = 0) -> None:
        progress(before * total + done, passes * total, state)

    found, labels = predict(model, data, limit=limit, batch=batch, progress=told)
    check_outputs(network, found, len(labels))
    exact = found
    if quantized is not None and passes == 2:
        mode, quantized.mode = quantized.mode, "float"
        try:
            exact, _ = predict(quantized, data, limit=limit, batch=batch, progress=lambda *now: told(*now, before=1))
        finally:
            quantized.mode = mode
    return EmbeddingEvaluation(found, labels, exact)
