"""Images and labels: the bundled digit scenes, and local copies of ImageNet, CIFAR or other images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import nn

from ptqsim.common import fingerprint
from ptqsim.common.validation import checked_path, checked_seed, checked_type
from ptqsim.errors import check_positive
from ptqsim.ptq.datasets.cifar import find_cifar
from ptqsim.ptq.datasets.compositing import SPLIT_SIZES, DataSplit, normalize, scans_of
from ptqsim.ptq.datasets.detection.load import load_detection_data
from ptqsim.ptq.datasets.image_folder import ImageFolder, UnlabeledFolder, check_same_classes
from ptqsim.ptq.datasets.photos import PHOTOS, PhotoCrops, fetched_photographs
from ptqsim.ptq.datasets.scenes import CLASSES, SIZE, Scenes, make_scenes
from ptqsim.ptq.network.detr.task import Detection
from ptqsim.ptq.network.input_size import input_size
from ptqsim.ptq.network.tasks.embedding import Embedding
from ptqsim.ptq.network.tasks.task import Classification, task_of

DIGITS: Final = "digits"
NAMED: Final = (DIGITS, PHOTOS)
"""Data sets that have a name; all others are folders."""

_ENDLESS: Final = 2**40, 2**20  # of a data set with so many images, samples are of so many first ones
_TRAIN: Final = ("train",)
_VAL: Final = ("val", "validation", "test")
_KEPT: Final = 20_000  # composed scenes, of 3 kB each, that a data set keeps


class Dataset(Protocol):
    """Images with labels, preprocessed for a model."""

    name: str

    @property
    def fingerprint(self) -> str:
        """A digest of all images and labels: it changes whenever one of them does."""

    def fingerprint_of(self, indices: Sequence[int]) -> str:
        """A digest of these images and labels, in this order, which reads nothing but them."""

    def __len__(self) -> int: ...

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Images, float32 [N, C, H, W], and labels, int64 [N]."""


class DigitScenes:
    """A split of the bundled data set, see :mod:`ptqsim.ptq.datasets.scenes`; composed scenes are kept in memory."""

    def __init__(self, split: DataSplit) -> None:
        self.split = split
        self.name = f"{DIGITS}/{split}"
        self.classes = CLASSES
        self._kept: dict[tuple[int, int], Scenes] = {}

    @property
    def fingerprint(self) -> str:
        """Fingerprint of all that scenes are composed of: the scans, and the code, represented by the first scenes."""
        scans, digits = scans_of(self.split)
        scenes = make_scenes(self.split, 0, 64)
        found = fingerprint.arrays(
            [("scans", scans), ("digits", digits), ("images", scenes.images), ("labels", scenes.labels)]
        )
        return found[:16]

    def fingerprint_of(self, indices: Sequence[int]) -> str:
        return fingerprint.text(self.fingerprint + fingerprint.value([int(i) for i in indices]))[:16]

    def __len__(self) -> int:
        return SPLIT_SIZES[self.split]

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        index = np.asarray(indices)
        if len(index) > 1 and np.array_equal(index, np.arange(index[0], index[0] + len(index))):
            scenes = [self._run(int(index[0]), len(index))]
        else:
            scenes = [make_scenes(self.split, int(i), 1) for i in index]
        images = np.concatenate([s.images for s in scenes])
        labels = np.concatenate([s.labels for s in scenes])
        return normalize(images), torch.from_numpy(labels)

    def _run(self, start: int, count: int) -> Scenes:
        scenes = self._kept.get((start, count))
        if scenes is None:
            scenes = make_scenes(self.split, start, count)
            if count + sum(length for _, length in list(self._kept)) > _KEPT:
                self._kept.clear()
            self._kept[start, count] = scenes
        return scenes


def load_data(source: str | Path, model: nn.Module, *, split: DataSplit | str = DataSplit.VALIDATION) -> Dataset:
    """A data set by name or folder.

    Parameters
    ----------
    source : str or path
        ``"digits"``; ``"photos"``, crops of photographs that ``ptqsim fetch`` gets; a folder with CIFAR-10 or CIFAR-100
        in the binary version; or a folder of class folders.  A folder
        that has sub-folders ``train`` and ``val`` (or ``validation``, or ``test``) is read as ImageNet is:
        ``calibration`` takes images from ``train``.  For a detector: ``"digits"``, or a folder in COCO's layout, see
        :class:`ptqsim.ptq.datasets.detection.coco_folder.CocoFolder`.  For a feature extractor any folder of images
        will do, as labels play no part.
    model : nn.Module
        The model whose preprocessing is used.
    split : DataSplit or {"train", "calibration", "validation"}

    Raises
    ------
    FileNotFoundError
        Where there is no such folder.
    ValueError
        For an unknown split, a folder with no images in a known layout, train and val with different classes, damaged
        files, files that would have to be
        unpickled, and scenes for a model of another image size.
    """
    checked_path("the data", source)
    checked_type("the model", model, nn.Module)
    chosen = DataSplit.of(split, "split")
    loaders: dict[str, Callable[[str | Path, Any, DataSplit], Dataset]] = {
        Classification.name: _load_labeled_images,
        Detection.name: load_detection_data,
        Embedding.name: _load_images,
    }
    return loaders[task_of(model).name](source, model, chosen)


def _load_labeled_images(source: str | Path, model: nn.Module, split: DataSplit) -> Dataset:
    folder = Path(source)
    if str(source) == DIGITS and not folder.is_dir():
        channels, height, width = input_size(model)
        if (channels, height, width) != (3, SIZE, SIZE):
            raise ValueError(
                f"the bundled scenes are {SIZE}x{SIZE} pixels in 3 channels, and the model takes {height}x{width} in "
                f"{channels}: name a folder of images as the data (--data DIR, or --data {PHOTOS} for what 'ptqsim "
                "fetch' makes), or a bundled model"
            )
        return DigitScenes(split)
    if str(source) == PHOTOS and not folder.is_dir():
        return PhotoCrops(fetched_photographs(), split, model)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no data folder at {folder}: name a folder with one sub-folder of images per class, or with the "
            f"binary version of CIFAR-10 or CIFAR-100, {DIGITS!r} for the bundled scenes, or {PHOTOS!r} for fetched "
            "photographs"
        )
    if (cifar := find_cifar(folder, model, split)) is not None:
        return cifar
    train, val = (_subfolder(folder, names) for names in (_TRAIN, _VAL))
    if train is not None and val is not None:
        check_same_classes(train, val, model)
    return ImageFolder(_part(folder, split), model)


def place_of(data: Dataset) -> str:
    """Name of a data set in messages: the folder as it was given where there is one, else its own name."""
    return str(getattr(data, "place", data.name))


def _load_images(source: str | Path, model: nn.Module, split: DataSplit) -> Dataset:
    """Images with or without labels, for a task that needs none."""
    folder = Path(source)
    if not folder.is_dir() or find_cifar(folder, model, split) is not None:
        return _load_labeled_images(source, model, split)
    return UnlabeledFolder(_part(folder, split), model)


def _part(folder: Path, split: DataSplit) -> Path:
    """The sub-folder of a split, if the folder has one."""
    return _subfolder(folder, _VAL if split == DataSplit.VALIDATION else _TRAIN) or folder


def _subfolder(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def sample_indices(data: Dataset, count: int, seed: int = 0) -> list[int]:
    """The places of ``count`` different images, drawn by seed."""
    check_positive("the number of images", count)
    seed = checked_seed(seed)
    if count > len(data):
        raise ValueError(
            f"{count} images were asked of {place_of(data)}, which has {len(data)}: ask for 1 to {len(data)}"
        )
    of = len(data) if len(data) < _ENDLESS[0] else _ENDLESS[1]
    order = np.random.RandomState(seed).permutation(of)  # a stream that NumPy keeps for good
    return [int(i) for i in order[:count]]


def sample_images(data: Dataset, count: int, seed: int = 0) -> torch.Tensor:
    """``count`` different images, drawn by seed: the calibration images."""
    return data.read(sample_indices(data, count, seed))[0]
