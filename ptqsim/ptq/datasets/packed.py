"""Weights and preprocessed images in files that can be sent to a machine that has neither."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from ptqsim.common import fingerprint
from ptqsim.ptq.datasets.load import Dataset, place_of
from ptqsim.ptq.files.tensors import load_tensors
from ptqsim.ptq.network.admission.given import stored_tensors


def pack_weights(network: nn.Module) -> bytes:
    """The weights as a safetensors file, which :func:`ptqsim.ptq.load_model` takes as a checkpoint."""
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in stored_tensors(network).items()})


def pack_images(images: torch.Tensor, labels: torch.Tensor | None = None) -> bytes:
    """Images [N, C, H, W], and labels [N] if there are any, as a safetensors file."""
    return save({"images": images} | ({} if labels is None else {"labels": labels}))


def read_packed(path: Path) -> torch.Tensor:
    """The images of a file that :func:`pack_images` wrote."""
    return load_tensors(path)["images"]


class DatasetPart:
    """``count`` images of a data set from ``first`` on."""

    def __init__(self, data: Dataset, first: int, count: int) -> None:
        self.name, self.place = data.name, place_of(data)
        self._data = data
        self._first = first
        self._count = count

    @property
    def fingerprint(self) -> str:
        return self.fingerprint_of(range(self._count))

    def fingerprint_of(self, indices: Sequence[int]) -> str:
        return self._data.fingerprint_of([self._first + int(i) for i in indices])

    def __len__(self) -> int:
        return self._count

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return self._data.read([self._first + i for i in indices])


class PackedImages:
    """A data set in files of ``size`` labeled images each, the last of which may have less.

    Parameters
    ----------
    name, content : str
        Name of the data set, and fingerprint of the images that were packed.
    files : sequence of Path
    size : int
    """

    def __init__(self, name: str, content: str, files: Sequence[Path], size: int) -> None:
        self.name = name
        self.fingerprint = content
        self._files = files
        self._size = size

    def fingerprint_of(self, indices: Sequence[int]) -> str:
        """A digest of these images and labels as they were packed."""
        return fingerprint.value([self.fingerprint, [int(i) for i in indices]])[:16]

    def __len__(self) -> int:
        return self._size * (len(self._files) - 1) + len(load_tensors(self._files[-1])["labels"])

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        size = self._size
        parts = {number: load_tensors(self._files[number]) for number in sorted({i // size for i in indices})}
        images = torch.stack([parts[i // size]["images"][i % size] for i in indices])
        return images, torch.stack([parts[i // size]["labels"][i % size] for i in indices])
