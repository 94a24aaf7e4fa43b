"""The task of detection, in which a quantized detector is compared with the float network's own detections."""

from __future__ import annotations

from typing import ClassVar, Final

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.network.attention.adapters import Adapters
from ptqsim.ptq.network.detr.adapters import detection_adapters
from ptqsim.ptq.network.detr.boxes import generalized_iou
from ptqsim.ptq.network.detr.loss import BOX_WEIGHT, GIOU_WEIGHT, Targets, match, matched_loss
from ptqsim.ptq.network.detr.outputs import split_outputs
from ptqsim.ptq.network.input_size import input_size
from ptqsim.ptq.network.tasks.gradients import Gradient
from ptqsim.ptq.network.tasks.task import kl_divergence

GRID: Final = 1000
"""Box coordinates of pseudo-labels are whole thousandths of the image's side, as annotations are whole pixels."""


class Detection:
    """Classes and boxes of a set of queries; outputs are [N, queries, classes + 5]."""

    name: ClassVar[str] = "detection"

    def adapters(self) -> Adapters:
        return detection_adapters()

    def channels(self, network: nn.Module) -> tuple[int, ...]:
        channels = input_size(network)[0]
        return channels, channels + 1  # the last one masks what is padded

    def check_outputs(self, network: nn.Module, outputs: object, images: int) -> None:
        """Nothing: a `Detector` gives nothing else."""

    def loss(self, outputs: torch.Tensor, gradient: Gradient, generator: torch.Generator) -> torch.Tensor:
        """DETR's detection loss against the float network's own predictions, matched; summed over the images.

        The predictions of the network become the targets, are matched with the predictions one to one (Hungarian
        assignment, Carion et al. Eq. 1), and compared by class, L1 and generalized IoU with DETR's weights (Eq. 2).

        ``pseudo_label``: the targets are the queries whose arg max is an object, with that class, and their boxes
        rounded to thousandths of the image.  Without rounding a box would be compared with itself: that is the
        minimum of both box terms, where they say nothing of how sensitive the loss is, as soft labels don't for the
        class term.  A rounded box is to a box what the arg max is to logits.
        ``sampled``: classes are drawn from the softmax of each query, and each box coordinate is moved by a thousandth
        up or down.
        ``released``: KL(y, y) of the class term alone; its gradient is zero up to rounding.
        """
        logits, boxes = split_outputs(outputs)
        exact = logits.detach()
        if gradient == "released":
            return F.kl_div(logits.log_softmax(dim=-1), exact.softmax(dim=-1), reduction="none").sum()
        if gradient == "sampled":
            drawn = torch.multinomial(exact.softmax(dim=-1).flatten(0, 1).cpu(), 1, generator=generator)
            labels = drawn.reshape(exact.shape[:2]).to(exact.device)
            sign = torch.randint(0, 2, boxes.shape, generator=generator).to(boxes.device) * 2 - 1
            own = boxes.detach() + sign / GRID
        else:
            labels = exact.argmax(dim=-1)
            own = (boxes.detach() * GRID).round() / GRID
        targets = _packed(labels, own, none=logits.shape[-1] - 1)
        by_class, by_box, by_giou = matched_loss(logits, boxes, targets, match(logits, boxes, targets))
        return by_class + BOX_WEIGHT * by_box + GIOU_WEIGHT * by_giou

    def traced_loss(self, outputs: torch.Tensor) -> torch.Tensor:
        return self.loss(outputs, Gradient.PSEUDO_LABEL, torch.Generator())

    def divergence(self, outputs: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
        """Loss of an image's queries against the float network's: KL of the classes, and the boxes.

        Boxes count as in the training loss, by L1 and GIoU, weighted by the float network's belief in an object.
        """
        logits, boxes = (part.double() for part in split_outputs(outputs))
        exact_logits, exact_boxes = (part.double() for part in split_outputs(exact))
        soft = exact_logits.softmax(dim=-1)
        objects = 1 - soft[..., -1]
        apart = BOX_WEIGHT * (boxes - exact_boxes).abs().sum(dim=-1)
        apart = apart + GIOU_WEIGHT * (1 - generalized_iou(boxes, exact_boxes))
        return (kl_divergence(logits, exact_logits) + objects * apart).sum(dim=1)


def _packed(labels: torch.Tensor, boxes: torch.Tensor, none: int) -> Targets:
    """Per-query labels [N, queries] and boxes as targets: objects first, the rest filled up with -1."""
    labels = torch.where(labels == none, -1, labels)
    order = (labels < 0).to(torch.uint8).argsort(dim=1, stable=True)
    return Targets(torch.gather(labels, 1, order), torch.gather(boxes, 1, order[..., None].expand(-1, -1, 4)))
