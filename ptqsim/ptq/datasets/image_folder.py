"""Folders of images, one sub-folder per class, as ImageNet and many smaller sets are kept; preprocessing by timm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import torch
from PIL import Image
from torch import nn

from ptqsim.common import fingerprint
from ptqsim.ptq.files.images import class_folders, extensions, image_names, read_image
from ptqsim.ptq.network.input_size import input_size

_LISTED: Final = 5  # names in a message

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
    model has its 1,000 classes, they keep ImageNet's numbers, even if the folder has only some of them.  Hidden files
    and folders are passed over, see :mod:`ptqsim.ptq.files.images`.

    Parameters
    ----------
    folder : Path
    model : nn.Module
        The model whose preprocessing is used.

    Attributes
    ----------
    place : str
        The folder as it was given.
    classes : int or None
        Number of classes; None where they are ImageNet's.

    Raises
    ------
    ValueError
        Where the folder holds no images in class folders, or (as in torchvision) a class folder holds no images.
    """

    def __init__(self, folder: Path, model: nn.Module) -> None:
        names = class_folders(folder)
        inside = {name: image_names(folder / name) for name in names}
        if not any(inside.values()):
            raise ValueError(
                f"{folder} holds no images in class folders: name a folder with one sub-folder of images per class "
                f"({', '.join(extensions())})"
            )
        if empty := [name for name in names if not inside[name]]:
            raise ValueError(
                f"{folder} has class folders without images ({', '.join(empty[:3])}{', ...' if empty[3:] else ''}), "
                "which would number a class that nothing is of: remove them, or unpack their images"
            )
        known = _imagenet_numbers(names, getattr(model, "num_classes", None))
        self.classes = len(names) if known is None else None
        self._folder = folder
        self._samples = [
            (f"{name}/{image}", label)
            for name, label in zip(names, known or range(len(names)), strict=True)
            for image in inside[name]
        ]
        self._transform = make_transform(model)
        self.name, self.place = folder.name, str(folder)

    @property
    def fingerprint(self) -> str:
        return self.fingerprint_of(range(len(self)))

    def fingerprint_of(self, indices: Sequence[int]) -> str:
        chosen = [self._samples[i] for i in indices]
        labels = fingerprint.value([label for _, label in chosen])
        return fingerprint.text(labels + fingerprint.files(self._folder, [name for name, _ in chosen]))[:16]

    def __len__(self) -> int:
        return len(self._samples)

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = [], []
        for i in indices:
            name, label = self._samples[i]
            images.append(self._transform(read_image(self._folder / name)))
            labels.append(label)
        return torch.stack(images), torch.tensor(labels)


class UnlabeledFolder:
    """All images in a folder and in those below it; each image's number, in the order of their names, is its label.

    Parameters
    ----------
    folder : Path
    model : nn.Module
        Whose preprocessing is used.

    Raises
    ------
    ValueError
        Where the folder holds no images.
    """

    def __init__(self, folder: Path, model: nn.Module) -> None:
        self._names = image_names(folder)
        if not self._names:
            raise ValueError(f"{folder} holds no images: name a folder with some ({', '.join(extensions())})")
        self._folder = folder
        self._transform = make_transform(model)
        self.name = folder.name

    @property
    def fingerprint(self) -> str:
        return self.fingerprint_of(range(len(self)))

    def fingerprint_of(self, indices: Sequence[int]) -> str:
        return fingerprint.files(self._folder, [self._names[i] for i in indices])[:16]

    def __len__(self) -> int:
        return len(self._names)

    def read(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        images = [self._transform(read_image(self._folder / self._names[i])) for i in indices]
        return torch.stack(images), torch.tensor([int(i) for i in indices])


def check_same_classes(train: Path, val: Path, model: nn.Module) -> None:
    """Refuse two splits whose class folders differ, so that one class would have two numbers, with a ValueError.

    Where both are numbered as ImageNet is, either may lack classes.
    """
    names = {folder: class_folders(folder) for folder in (train, val)}
    if all(_imagenet_numbers(found, getattr(model, "num_classes", None)) is not None for found in names.values()):
        return
    only = {
        folder: [name for name in found if name not in names[other]]
        for (folder, found), other in zip(names.items(), (val, train), strict=True)
    }
    if any(only.values()):
        told = " and ".join(
            f"{folder} alone has {', '.join(found[:_LISTED])}{', ...' if found[_LISTED:] else ''}"
            for folder, found in only.items()
            if found
        )
        raise ValueError(
            f"{train} and {val} have different classes, so that their labels are numbered differently: {told}; legal "
            "are the same class folders in both: add, remove or rename some, or name one of the two as the data"
        )


def _imagenet_numbers(folders: Sequence[str], classes: int | None) -> list[int] | None:
    """ImageNet's numbers of the folders, if all names are WordNet ids of it and the model has its classes."""
    from timm.data import ImageNetInfo

    known = ImageNetInfo("imagenet-1k").label_names()
    if classes == len(known) and set(folders) <= set(known):
        return [known.index(folder) for folder in folders]
    return None
