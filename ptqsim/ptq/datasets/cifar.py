"""CIFAR-10 and CIFAR-100 from local copies of their binary version.

Files are records of one label byte (CIFAR-100: one of the 20 coarse classes, then one of the 100 fine ones) and 3,072
bytes of a 32x32 image: red, green and blue planes, by rows (https://www.cs.toronto.edu/~kriz/cifar.html).  The version
for Python is a set of pickles.  A pickle can run any program when it is read, so it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from ptqsim.common import fingerprint
from ptqsim.ptq.datasets.image_folder import make_transform

_SITE: Final = "https://www.cs.toronto.edu/~kriz/"
_PIXELS: Final = 3 * 32 * 32


@dataclass(frozen=True)
class _Version:
    """File layout of one of the two data sets."""

    name: str
    archive: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    label_bytes: int
    classes: int
    pickled_folder: str
    pickled: frozenset[str]

    @property
    def record(self) -> int:
        return self.label_bytes + _PIXELS

    def parts(self, split: str) -> tuple[str, ...]:
        return self.test if split == "validation" else self.train


_BATCHES: Final = tuple(f"data_batch_{i}" for i in range(1, 6))
_VERSIONS: Final = (
    _Version(
        "cifar10",
        "cifar-10-binary.tar.gz",
        "cifar-10-batches-bin",
        tuple(f"{batch}.bin" for batch in _BATCHES),
        ("test_batch.bin",),
        1,
        10,
        "cifar-10-batches-py",
        frozenset({*_BATCHES, "test_batch", "batches.meta"}),
    ),
    _Version(
        "cifar100",
        "cifar-100-binary.tar.gz",
        "cifar-100-binary",
        ("train.bin",),
        ("test.bin",),
        2,
        100,
        "cifar-100-python",
        frozenset({"train", "test", "meta"}),
    ),
)


def find_cifar(folder: Path, model: nn.Module, split: str) -> Cifar | None:
    """The CIFAR set that lies in a folder, or in the sub-folder that its archive unpacks to; None where there is none.

    Parameters
    ----------
    folder : Path
    model : nn.Module
        The model whose preprocessing is used; it also resizes the 32x32 images.
    split : {"train", "calibration", "validation"}
        ``validation`` reads the test images, the others the training images.

    Raises
    ------
    ValueError
        For a pickled version, missing or truncated files, and labels out of range.
    """
    for version in _VERSIONS:
        for place in (folder, folder / version.folder):
            if any((place / part).is_file() for part in (*version.train, *version.test)):
                return Cifar(place, version, model, split)
    for version in _VERSIONS:
        for place in (folder, folder / version.pickled_folder):
            found = sorted(name for name in version.pickled if (place / name).is_file())
            if len(found) > 1:
                raise ValueError(
                    f"{place} is the pickled version of {version.name} ({', '.join(found)}), and reading a pickle can "
                    f"run any program in it, so it is not read; get the binary version, {_SITE}{version.archive}, and "
                    f"name its folder {version.folder}, or keep the images as files, one folder per class"
                )
    return None


class Cifar:
    """One split of a CIFAR set in its binary version; CIFAR-100 has its fine labels.

    Attributes
    ----------
    place : str
        The folder as it was given.
    classes : int
        Number of classes.
    """

    def __init__(self, folder: Path, version: _Version, model: nn.Module, split: str) -> None:
        self.name = f"{version.name}/{'test' if split == 'validation' else 'train'}"
        self.place = str(folder)
        self._records: list[NDArray[np.uint8]] = []  # one memory map per file
        for part in version.parts(split):
            self._records.append(_open(folder / part, version))
        self._starts = np.cumsum([0, *map(len, self._records)])
        self._label = version.label_bytes - 1
        self.classes = version.classes
        self._transform = make_transform(model)

    @property
    def fingerprint(self) -> str:
        return self.fingerprint_of(range(len(self)))

    def fingerprint_of(self, indices: Sequence[int]) -> str:
        chosen = np.stack([self._record(int(i)) for i in indices])
        return fingerprint.arrays([("records", chosen)])[:16]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = [], []
        for i in indices:
            record = self._record(int(i))
            pixels = record[-_PIXELS:].reshape(3, 32, 32).transpose(1, 2, 0)
            images.append(self._transform(Image.fromarray(np.ascontiguousarray(pixels))))
            labels.append(int(record[self._label]))
        return torch.stack(images), torch.tensor(labels)

    def _record(self, index: int) -> NDArray[np.uint8]:
        part = int(np.searchsorted(self._starts, index, side="right")) - 1
        record: NDArray[np.uint8] = self._records[part][index - self._starts[part]]
        return record


def _open(path: Path, version: _Version) -> NDArray[np.uint8]:
    """The records [N, label bytes + 3072] of one file."""
    if not path.is_file():
        raise ValueError(f"{path.parent} is a copy of {version.name}, but has no {path.name}: unpack the archive again")
    size = path.stat().st_size
    if size == 0 or size % version.record:
        raise ValueError(
            f"{path} has {size:,} bytes, which is no whole number of records of {version.record:,} bytes: it is "
            f"truncated, or no file of {version.name}; unpack the archive again"
        )
    records = np.memmap(path, np.uint8, "r").reshape(-1, version.record)
    worst = int(records[:, version.label_bytes - 1].max())
    if worst >= version.classes:
        raise ValueError(
            f"{path} has a label {worst}, but {version.name} has classes 0 to {version.classes - 1}: it is damaged, or "
            f"no file of {version.name}; unpack the archive again"
        )
    return records
