"""Detection scenes as a data set: preprocessed images, and COCO annotations made on demand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from ptqsim.common import fingerprint
from ptqsim.ptq.datasets.compositing import SPLIT_SIZES, DataSplit, normalize, scans_of
from ptqsim.ptq.datasets.detection.coco import GroundTruth
from ptqsim.ptq.datasets.detection.scenes import CLASSES, SIZE, DetectionScenes, make_detection_scenes

_CATEGORIES: Final = [{"id": digit, "name": str(digit)} for digit in range(CLASSES)]


class DetectionDigits:
    """A split of the bundled detection scenes; labels are the scenes' numbers."""

    def __init__(self, split: DataSplit) -> None:
        self.split = split
        self.name = f"digits/{split} (detection)"

    @property
    def fingerprint(self) -> str:
        """Fingerprint of all that scenes are composed of: the scans, and the code, represented by the first scenes."""
        scans, digits = scans_of(self.split)
        scenes = make_detection_scenes(self.split, 0, 64)
        found = fingerprint.arrays(
            [("scans", scans), ("digits", digits), ("images", scenes.images), ("labels", scenes.labels),
             ("boxes", scenes.boxes)]
        )  # fmt: skip
        return found[:16]

    def fingerprint_of(self, indices: Sequence[int]) -> str:
        return fingerprint.text(self.fingerprint + fingerprint.value([int(i) for i in indices]))[:16]

    def __len__(self) -> int:
        return SPLIT_SIZES[self.split]

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        scenes = self._scenes(indices)
        return normalize(scenes.images), torch.tensor(list(indices), dtype=torch.int64)

    def ground_truth(self, indices: Sequence[int]) -> GroundTruth:
        """COCO annotations of these scenes."""
        scenes = self._scenes(indices)
        images = [{"id": int(i), "width": SIZE, "height": SIZE} for i in indices]
        annotations: list[dict[str, Any]] = []
        for image, labels, boxes in zip(images, scenes.labels.tolist(), scenes.boxes.tolist(), strict=True):
            for label, box in zip(labels, boxes, strict=True):
                if label >= 0:
                    annotations.append(
                        {"id": len(annotations) + 1, "image_id": image["id"], "category_id": label, "bbox": box,
                         "area": box[2] * box[3], "iscrowd": 0}
                    )  # fmt: skip
        return GroundTruth(images, annotations, _CATEGORIES)

    def _scenes(self, indices: Sequence[int]) -> DetectionScenes:
        index = np.asarray(indices)
        if np.array_equal(index, np.arange(index[0], index[0] + len(index))):
            return make_detection_scenes(self.split, int(index[0]), len(index))
        parts = [make_detection_scenes(self.split, int(i), 1) for i in index]
        return DetectionScenes(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("images", "labels", "boxes")))
