"""Calibration images out of what PyTorch keeps images in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Final

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ptqsim.common.validation import checked_seed
from ptqsim.errors import ArgumentTypeError, check_positive

MOST: Final = 4096
"""Images that are taken without being asked for by number: more are a whole data set given by mistake."""


def as_images(source: object, count: int | None = None, seed: int = 0) -> torch.Tensor:
    """Images as one tensor [N, C, H, W].

    Parameters
    ----------
    source : tensor [N, C, H, W], DataLoader or Dataset
        Batches of a DataLoader and items of a Dataset are images, or tuples, lists or mappings whose first value they
        are. A Dataset has to know its length.
    count : int, optional
        Number of images to take: the first ones of a tensor and of a DataLoader, those drawn by the seed of a Dataset.
        By default all of them.
    seed : int
        Seed of the draw.

    Raises
    ------
    TypeError
        For a source of another type, or one that holds no tensors.
    ValueError
        If there are fewer images than asked for, none at all, or more than 4,096 and no number was given.
    """
    if count is not None:
        check_positive("num_images", count)
    seed = checked_seed(seed)
    if isinstance(source, torch.Tensor):
        return source if count is None else source[: _checked(count, len(source))]
    if isinstance(source, DataLoader):
        return _first(source, count)
    if isinstance(source, Dataset) and isinstance(source, Sized):
        return _drawn(source, count, seed)
    raise ArgumentTypeError(
        f"images are a {type(source).__name__}; legal are a float tensor [N, C, H, W], a torch DataLoader and a torch "
        "Dataset that has a length: try torch.stack for a list of tensors, torch.from_numpy for an array"
    )


def _first(loader: Iterable[Any], count: int | None) -> torch.Tensor:
    batches: list[torch.Tensor] = []
    found = 0
    for batch in loader:
        images = _images(batch)
        batches.append(images)
        found += len(images)
        if found > MOST if count is None else found >= count:
            break
    _checked(count, found)
    return torch.cat(batches)[:count]


def _drawn(data: Any, count: int | None, seed: int) -> torch.Tensor:
    _checked(count, len(data))
    order: Iterator[int] | Sequence[int] = range(len(data))
    if count is not None:
        order = map(int, np.random.RandomState(seed).permutation(len(data))[:count])  # a stream that NumPy keeps
    return torch.stack([_images(data[i]) for i in order])


def _images(item: object) -> torch.Tensor:
    """The images of a batch, or the image of an item: itself, or the first value that it holds."""
    given = item
    if isinstance(item, dict):
        item = tuple(item.values())
    if isinstance(item, (tuple, list)) and item:
        item = item[0]
    if not isinstance(item, torch.Tensor):
        raise ArgumentTypeError(
            f"a batch or item is a {type(given).__name__} without a tensor in its first place; legal are tensors of "
            "images, alone or followed by labels: add a transform to tensors"
        )
    return item


def _checked(count: int | None, available: int) -> int:
    """The number of images to take; one that can't be had, or none where there are many, is a ValueError."""
    if available == 0:
        raise ValueError("the source of images is empty; legal is one image or more: check its folder and sampler")
    if count is None and available > MOST:
        raise ValueError(
            f"the source has more than {MOST} images and no number was given: say how many to take with num_images; "
            "32 to 1,024 are usual"
        )
    if count is not None and not 1 <= count <= available:
        raise ValueError(f"{count} images were asked of a source that has {available}: ask for 1 to {available}")
    return available if count is None else count
