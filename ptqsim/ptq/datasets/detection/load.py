"""Images with annotated objects, by name or folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import torch

from ptqsim.ptq.datasets.compositing import DataSplit
from ptqsim.ptq.datasets.detection.coco import GroundTruth
from ptqsim.ptq.datasets.detection.coco_folder import CocoFolder
from ptqsim.ptq.datasets.detection.digits import DetectionDigits
from ptqsim.ptq.datasets.detection.scenes import SIZE
from ptqsim.ptq.network.detr.detector import Detector

DIGITS: Final = "digits"


@runtime_checkable
class DetectionData(Protocol):
    """Images with objects in them; what ``read`` gives as labels are the images' own numbers."""

    name: str

    @property
    def fingerprint(self) -> str:
        """A digest of all images and annotations: it changes whenever one of them does."""

    def fingerprint_of(self, indices: Sequence[int]) -> str:
        """A digest of these images, in this order, and of all annotations."""

    def __len__(self) -> int: ...

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Images, float32 [N, C, H, W], and their numbers, int64 [N]."""

    def ground_truth(self, indices: Sequence[int]) -> GroundTruth:
        """Ground truth of the images of these numbers."""


def load_detection_data(source: str | Path, model: Detector, split: DataSplit) -> DetectionData:
    """A data set for a detector; see :func:`ptqsim.ptq.load_data`."""
    folder = Path(source)
    if str(source) == DIGITS and not folder.is_dir():
        if model.preprocessing.resize is not None or model.preprocessing.input_size != (3, SIZE, SIZE):
            raise ValueError(
                f"the bundled detection scenes are {SIZE}x{SIZE} pixels, and the model takes others: name a folder in "
                "COCO's layout as the data (--data DIR), or the bundled detector (--model detr_digits)"
            )
        return DetectionDigits(split)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no data folder at {folder}: name a folder in COCO's layout, with annotations/ and val2017/, or "
            f"{DIGITS!r} for the bundled detection scenes"
        )
    return CocoFolder(folder, model, split)
