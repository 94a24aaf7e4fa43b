"""Folders of images, one sub-folder per class, as ImageNet and many smaller sets are kept; preprocessing by timm."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import nn

from ptqsim.ptq.zoo.models import input_size

Transform = Callable[[Image.Image], torch.Tensor]


def make_transform(model: nn.Module) -> Transform:
    """timm's own evaluation transform for a model: resize, crop and normalization as its weights were evaluated.

    A model of one channel gets the luminance of the images, normalized by the mean over the channels.

    Raises
    ------
    ValueError
        Where the model takes images of neither one nor three channels.
    """
    from timm.data import create_transform, resolve_data_config

    size = input_size(model)
    if size[0] not in (1, 3):
        raise ValueError(f"image files have 1 or 3 channels, and the model takes {size[0]}: give it images as tensors")
    config = resolve_data_config({"input_size": size}, model=model)
    if size[0] == 1:
        config |= {name: (sum(config[name]) / len(config[name]),) for name in ("mean", "std")}
    transform: Transform = create_transform(**config)
    return transform if size[0] == 3 else lambda image: transform(image.convert("L"))


class ImageFolder:
    """A folder with one sub-folder of images per class.

    Classes are numbered in the order of the folders' names.  Where all names are WordNet ids of ImageNet-1k and the
    model has its 1,000 classes, they keep ImageNet's numbers, even if the folder has only some of them.

    Parameters
    ----------
    folder : Path
    model : nn.Module
        Whose preprocessing is used.

    Raises
    ------
    ValueError
        Where the folder holds no images in class folders.
    """

    def __init__(self, folder: Path, model: nn.Module) -> None:
        from torchvision.datasets import ImageFolder as Files

        try:
            self._files = Files(str(folder))
        except FileNotFoundError as error:
            raise ValueError(
                f"{folder} holds no images in class folders ({error}): see ptqsim evaluate --help"
            ) from None
        self._labels = _class_numbers(self._files.classes, getattr(model, "num_classes", None))
        self._transform = make_transform(model)
        self.name = folder.name

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for path, place in self._files.samples:
            digest.update(f"{Path(path).name}:{self._labels[place]}:{Path(path).stat().st_size};".encode())
        return digest.hexdigest()[:16]

    def __len__(self) -> int:
        return len(self._files)

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = [], []
        for i in indices:
            path, place = self._files.samples[i]
            try:
                images.append(self._transform(self._files.loader(path)))
            except OSError as error:
                raise ValueError(f"{path} is no readable image ({error}): repair or remove it") from None
            labels.append(self._labels[place])
        return torch.stack(images), torch.tensor(labels)


def _class_numbers(folders: Sequence[str], classes: int | None) -> list[int]:
    from timm.data import ImageNetInfo

    known = ImageNetInfo("imagenet-1k").label_names()
    if classes == len(known) and set(folders) <= set(known):
        return [known.index(folder) for folder in folders]
    return list(range(len(folders)))
