"""Annotations of a set of images in COCO's terms, and mean average precision by pycocotools."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from ptqsim.ptq.network.detr.boxes import corners
from ptqsim.ptq.network.detr.outputs import split_outputs

METRICS: Final = ("mAP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
"""COCO's averages over categories, in percent; the first is over the thresholds of overlap 0.5, 0.55, ..., 0.95."""


@dataclass(frozen=True)
class GroundTruth:
    """Annotated images.

    Attributes
    ----------
    images : sequence of mapping
        COCO's entries: ``id``, ``width``, ``height`` and perhaps ``file_name``.
    annotations : sequence of mapping
        COCO's entries: ``id``, ``image_id``, ``category_id``, ``bbox`` (left, top, width, height in pixels),
        ``area``, ``iscrowd``.
    categories : sequence of mapping
        COCO's entries: ``id``, which is the class number of the networks, and ``name``.
    """

    images: Sequence[Mapping[str, Any]]
    annotations: Sequence[Mapping[str, Any]]
    categories: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Detections:
    """Detections in one image, the most certain first.

    Attributes
    ----------
    scores : float array [n]
    labels : int array [n]
    boxes : float array [n, 4]
        Left, top, right, bottom in pixels.
    """

    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]


def detections(output: torch.Tensor, width: int, height: int) -> Detections:
    """The detections of one image from a network's output [queries, classes + 5].

    Every query is one detection, of its most probable class (Carion et al., appendix A.4); one whose output
    is not finite detects nothing.
    """
    output = output.detach().cpu().double()
    logits, boxes = split_outputs(output[output.isfinite().all(dim=-1)])
    scores, labels = logits.softmax(dim=-1)[:, :-1].max(dim=-1)
    order = scores.argsort(descending=True, stable=True)
    pixels = corners(boxes) * torch.tensor([width, height, width, height])
    return Detections(scores[order].numpy(), labels[order].numpy(), pixels[order].numpy())


def mean_average_precision(outputs: torch.Tensor, truth: GroundTruth) -> dict[str, float]:
    """COCO's metrics of a network's outputs.

    Parameters
    ----------
    outputs : float tensor [N, queries, classes + 5]
    truth : GroundTruth
        Ground truth of the same N images, in the same order.

    Returns
    -------
    dict
        By name, see ``METRICS``, in percent; without the sizes that no object has.  NaN where the images have no
        object at all, crowds aside: then there is no precision.
    """
    if all(entry["iscrowd"] for entry in truth.annotations):
        return dict.fromkeys(METRICS[:3], math.nan)
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    known = {category["id"] for category in truth.categories}
    found = []
    for image, output in zip(truth.images, outputs, strict=True):
        one = detections(output, image["width"], image["height"])
        for score, label, (left, top, right, bottom) in zip(one.scores, one.labels, one.boxes.tolist(), strict=True):
            if int(label) in known:
                box = [left, top, right - left, bottom - top]
                found.append({"image_id": image["id"], "category_id": int(label), "score": float(score), "bbox": box})
    if not found:  # pycocotools can't read an empty list
        return dict.fromkeys(METRICS[:3], 0.0)
    with redirect_stdout(io.StringIO()):  # pycocotools prints what it does
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": list(truth.images),
            # numbered anew from 1: pycocotools takes an object with id 0 for one that was not found
            "annotations": [{**entry, "id": number} for number, entry in enumerate(truth.annotations, start=1)],
            "categories": list(truth.categories),
        }
        coco.createIndex()
        scored = COCOeval(coco, coco.loadRes(found), "bbox")
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    averages = zip(METRICS, scored.stats[: len(METRICS)].tolist(), strict=True)
    return {name: 100.0 * value for name, value in averages if value >= 0}  # -1 where there is nothing to average
