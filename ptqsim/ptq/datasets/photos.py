"""Photographs that were fetched, and the data set of their crops: of which photograph is a crop?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from ptqsim.common import fingerprint
from ptqsim.ptq.datasets.compositing import DataSplit
from ptqsim.ptq.datasets.crops import make_crop
from ptqsim.ptq.datasets.image_folder import make_transform
from ptqsim.ptq.files.fetched_folder import FetchedFolder
from ptqsim.ptq.files.tensors import load_tensors

PHOTOS: Final = "photos"
"""Name of the data set."""

FOLDER: Final = FetchedFolder("dinov2_small_photos", version=1)
"""Place of the photographs, beside the network that tells them apart."""
FILE: Final = "photographs.safetensors"

CROPS: Final[dict[str, int]] = {"calibration": 1_100, "validation": 1_320}
_KEYS: Final[dict[str, int]] = {"train": 1, "calibration": 2, "validation": 3}
_KEPT: Final = 400  # crops, of 150 kB each, that a data set keeps

Photographs = Mapping[str, NDArray[np.uint8]]
"""Name of each photograph, in the order of their labels, and its pixels [3, H, W]."""


def fetched_photographs() -> Photographs:
    """The photographs of the user's cache.

    Raises
    ------
    FileNotFoundError, ValueError
        As :meth:`FetchedFolder.file`.
    """
    return read_photographs(FOLDER.file(FILE))


@lru_cache(maxsize=1)
def read_photographs(path: Path) -> Photographs:
    """The photographs in a file, 25 MB of pixels."""
    return {name: pixels.numpy() for name, pixels in sorted(load_tensors(path).items())}


def crops(
    photographs: Photographs, split: DataSplit | str, indices: Sequence[int]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Crops [N, 3, 224, 224] of a split by their numbers, and their labels [N]; any number is legal.

    Each photograph has its turn, so the first crops of a split are of all photographs equally.
    """
    pictures = list(photographs.values())
    labels = np.array([i % len(pictures) for i in indices], np.int64)
    made = [make_crop(pictures[label], _KEYS[split], int(i)) for i, label in zip(indices, labels, strict=True)]
    return np.stack(made), labels


class PhotoCrops:
    """A split of the crops, preprocessed for a model; crops are made on demand.

    Parameters
    ----------
    photographs : mapping of str to uint8 array [3, H, W]
    split : {"calibration", "validation"}
    model : nn.Module
        Whose preprocessing is used.

    Attributes
    ----------
    classes : int
        How many photographs there are.

    Raises
    ------
    ValueError
        For the split ``train``, from which the network's head was fitted and nothing is kept.
    """

    def __init__(self, photographs: Photographs, split: DataSplit | str, model: nn.Module) -> None:
        if split not in CROPS:
            raise ValueError(f"{PHOTOS} has no split {split!r}; legal are {', '.join(map(repr, CROPS))}")
        self.split = DataSplit.of(split, "split")
        self.name = f"{PHOTOS}/{split}"
        self.classes = len(photographs)
        self._photographs = photographs
        self._transform = make_transform(model)
        self._kept: dict[int, NDArray[np.uint8]] = {}

    @property
    def fingerprint(self) -> str:
        """Fingerprint of what crops are made of: the photographs, and the code, represented by the first crops."""
        first, _ = crops(self._photographs, self.split, range(4))
        return fingerprint.arrays([*self._photographs.items(), ("", first)])[:16]

    def fingerprint_of(self, indices: Sequence[int]) -> str:
        return fingerprint.text(self.fingerprint + fingerprint.value([int(i) for i in indices]))[:16]

    def __len__(self) -> int:
        return CROPS[self.split]

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        images = [self._transform(Image.fromarray(self._crop(int(i)).transpose(1, 2, 0))) for i in indices]
        return torch.stack(images), torch.tensor([int(i) % self.classes for i in indices])

    def _crop(self, index: int) -> NDArray[np.uint8]:
        crop = self._kept.get(index)
        if crop is None:
            (crop,), _ = crops(self._photographs, self.split, [index])
            if len(self._kept) < _KEPT:
                self._kept[index] = crop
        return crop
