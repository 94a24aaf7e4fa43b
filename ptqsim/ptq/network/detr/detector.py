"""DETR as one function of a tensor, so that whatever runs classifiers runs it too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from ptqsim.ptq.network.detr.preprocessing import Preprocessing
from ptqsim.ptq.network.detr.task import Detection

if TYPE_CHECKING:
    from transformers import DetrForObjectDetection


class Detector(nn.Module):
    """A DETR of transformers, from images to one tensor of logits and boxes.

    Parameters
    ----------
    detr : DetrForObjectDetection
    preprocessing : Preprocessing

    Attributes
    ----------
    task : Detection
        The task, which defines how outputs are compared.
    preprocessing : Preprocessing
    """

    def __init__(self, detr: DetrForObjectDetection, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.task = Detection()
        # attention as visible products and additive masks; the other implementations compute the same
        detr.set_attn_implementation({"": "eager"})
        self.detr = detr
        self.preprocessing = preprocessing

    @property
    def num_classes(self) -> int:
        """Number of classes, "no object" aside."""
        return self.detr.class_labels_classifier.out_features - 1

    @property
    def input_size(self) -> tuple[int, int, int]:
        """Channels, height and width of the images that it was trained on."""
        return self.preprocessing.input_size

    @property
    def queries(self) -> int:
        """Number of object queries: the most detections of an image."""
        return int(self.detr.config.num_queries)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images [N, 3, H, W] or [N, 4, H, W] -> [N, queries, classes + 1 + 4].

        A fourth channel is 1 where the image is and 0 where it is padded.  The output holds, for each query, the
        logits of the classes, that of "no object", and the box as center x, center y, width and height, all as
        fractions of the image (without its padding).
        """
        mask = images[:, 3] if images.shape[1] == 4 else None
        out = self.detr(pixel_values=images[:, :3], pixel_mask=mask)
        return torch.cat([out.logits, out.pred_boxes], dim=-1)
