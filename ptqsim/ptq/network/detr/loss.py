"""DETR's loss: predictions are matched with targets one to one, then compared (Carion et al., section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch.nn import functional as F

from ptqsim.ptq.network.detr.boxes import generalized_iou

BOX_WEIGHT: Final = 5.0
GIOU_WEIGHT: Final = 2.0
"""Of the L1 and the generalized IoU term, in the loss and in the matching cost; the class term has 1."""
NO_OBJECT_WEIGHT: Final = 0.1
"""Of queries without an object in the class term (Carion et al., section 3.1: down-weighted by a factor of 10)."""


@dataclass(frozen=True)
class Targets:
    """Objects in a batch of images.

    Attributes
    ----------
    labels : int64 tensor [N, objects]
        Class numbers; -1 fills up the rows of images with fewer objects.
    boxes : float tensor [N, objects, 4]
        Center x, center y, width, height as fractions of the image.
    """

    labels: torch.Tensor
    boxes: torch.Tensor


def match(logits: torch.Tensor, boxes: torch.Tensor, targets: Targets) -> torch.Tensor:
    """The target of each query by the cheapest one-to-one assignment.

    Parameters
    ----------
    logits : float tensor [N, queries, classes + 1]
    boxes : float tensor [N, queries, 4]
    targets : Targets

    Returns
    -------
    int64 tensor [N, queries]
        Index of the target, -1 for none.
    """
    from scipy.optimize import linear_sum_assignment

    with torch.no_grad():
        labels = targets.labels.clamp(min=0)
        probability = logits.float().softmax(dim=-1)
        of_label = torch.gather(probability, 2, labels[:, None].expand(-1, logits.shape[1], -1))
        apart = (boxes[:, :, None].float() - targets.boxes[:, None]).abs().sum(dim=-1)
        overlap = generalized_iou(boxes[:, :, None].float(), targets.boxes[:, None])
        cost = (BOX_WEIGHT * apart - of_label - GIOU_WEIGHT * overlap).cpu().numpy()
    counts = (targets.labels >= 0).sum(dim=1).tolist()
    matched = np.full(cost.shape[:2], -1, np.int64)
    for image, count in enumerate(counts):
        query, target = linear_sum_assignment(cost[image, :, :count])
        matched[image, query] = target
    return torch.from_numpy(matched).to(logits.device)


def matched_loss(
    logits: torch.Tensor,
    boxes: torch.Tensor,
    targets: Targets,
    matched: torch.Tensor,
    no_object_weight: float = NO_OBJECT_WEIGHT,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Class, L1 and generalized IoU terms, each summed over the batch and not weighted yet.

    Parameters
    ----------
    logits, boxes, targets : torch.Tensor and Targets
        As for :func:`match`.
    matched : int64 tensor [N, queries]
        The result of :func:`match`.
    no_object_weight : float
    """
    chosen = matched.clamp(min=0)
    found = matched >= 0
    none = logits.shape[-1] - 1
    labels = torch.where(found, torch.gather(targets.labels, 1, chosen), none)
    weight = torch.ones(none + 1, device=logits.device)
    weight[none] = no_object_weight
    by_class = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), weight, reduction="sum")
    true = torch.gather(targets.boxes, 1, chosen[..., None].expand(-1, -1, 4))[found]
    own = boxes.float()[found]
    return by_class, (own - true).abs().sum(), (1 - generalized_iou(own, true)).sum()
