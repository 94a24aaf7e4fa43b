"""Weights and preprocessed images in files that can be sent to a machine that has neither."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import nn

from ptqsim.ptq.checkpoint import fingerprint
from ptqsim.ptq.datasets.load import Dataset
from ptqsim.ptq.networks import stored_tensors


def weights_fingerprint(network: nn.Module) -> str:
    """SHA-256 of the weights, names and shapes included."""
    return fingerprint(stored_tensors(network).items())


def pack_weights(network: nn.Module) -> bytes:
    """The weights as a safetensors file, which :func:`ptqsim.ptq.load_model` takes as a checkpoint."""
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in stored_tensors(network).items()})


def pack_images(images: torch.Tensor, labels: torch.Tensor | None = None) -> bytes:
    """Images [N, C, H, W], and labels [N] if there are any, as a safetensors file."""
    return save({"images": images} | ({} if labels is None else {"labels": labels}))


def read_packed(path: Path) -> torch.Tensor:
    """The images of a file that :func:`pack_images` wrote."""
    return load_file(path)["images"]


class DatasetPart:
    """``count`` images of a data set from ``first`` on."""

    def __init__(self, data: Dataset, first: int, count: int) -> None:
        self.name = data.name
        self.fingerprint = f"{data.fingerprint}[{first}:{first + count}]"
        self._data = data
        self._first = first
        self._count = count

    def __len__(self) -> int:
        return self._count

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return self._data.read([self._first + i for i in indices])


class PackedImages:
    """A data set in files of ``size`` labeled images each, the last of which may have less.

    Parameters
    ----------
    name, fingerprint : str
        Of the data set that was packed.
    files : sequence of Path
    size : int
    """

    def __init__(self, name: str, fingerprint: str, files: Sequence[Path], size: int) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self._files = files
        self._size = size

    def __len__(self) -> int:
        return self._size * (len(self._files) - 1) + len(load_file(self._files[-1])["labels"])

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        size = self._size
        parts = {number: load_file(self._files[number]) for number in sorted({i // size for i in indices})}
        images = torch.stack([parts[i // size]["images"][i % size] for i in indices])
        return images, torch.stack([parts[i // size]["labels"][i % size] for i in indices])
