"""Models and data as a worker gets them: by name where its machine has the same, else by files that the client sends.

The bundled models and data come with the package.  Any other network is a weights file in the cache.  A folder of
images is read where it is mounted; where it is not, the client packs the images that are needed into files.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ptqsim import ptq
from ptqsim.ptq.datasets.load import DIGITS
from ptqsim.ptq.datasets.packed import (
    DatasetPart,
    PackedImages,
    pack_images,
    pack_weights,
    read_packed,
    weights_fingerprint,
)
from ptqsim.sweep.work.content import ContentCache, MissingContent

if TYPE_CHECKING:
    import torch
    from torch import nn

BATCH = 100
"""Images in one batch, and in one packed file."""


@dataclass(frozen=True)
class Source:
    """A network and its data, by content.

    Attributes
    ----------
    name : str
        Of the architecture, as `ptqsim.ptq.load_model` takes it.
    sha256 : str
        Of the weights.
    weights : str or None
        File of the cache that holds them; None for a bundled model.
    data : str
        ``digits``, or the folder on the client's machine.
    calibration_data, validation_data : str
        Name and fingerprint of the splits.
    """

    name: str
    sha256: str
    weights: str | None
    data: str
    calibration_data: str
    validation_data: str


class OpenSource:
    """A source on this machine: the network and the images.

    Parameters
    ----------
    source : Source
    cache : ContentCache
        Of this machine.
    """

    def __init__(self, source: Source, cache: ContentCache) -> None:
        self.source = source
        self._cache = cache

    @cached_property
    def network(self) -> nn.Module:
        """The float network; a ValueError where this installation brings other weights."""
        source = self.source
        if source.weights is None:
            network = ptq.load_model(source.name)
        else:
            network = ptq.load_model(source.name, checkpoint=self._file(source.weights))
        if weights_fingerprint(network) != source.sha256:
            raise ValueError(
                f"{source.name} has other weights here than on the client: install the same ptqsim on both"
            )
        return network

    def calibration_images(self, count: int, seed: int) -> torch.Tensor:
        """float32 [count, C, H, W]."""
        mounted = self._mounted("calibration")
        if mounted is not None:
            return ptq.sample_images(mounted, count, seed)
        return read_packed(self._file(packed_name(self.source, "calibration", count, seed)))

    def validation(self, first: int, images: int) -> ptq.Dataset:
        """``images`` of the validation split from ``first`` on, a multiple of ``BATCH``."""
        mounted = self._mounted("validation")
        if mounted is not None:
            return DatasetPart(mounted, first, images)
        starts = range(first, first + images, BATCH)
        names = [packed_name(self.source, "validation", start, BATCH) for start in starts]
        lacking = tuple(name for name in names if not self._cache.has(name))
        if lacking:
            raise MissingContent(lacking)
        name, _, fingerprint = self.source.validation_data.partition(" ")
        return PackedImages(name, fingerprint, [self._cache.path(name) for name in names], BATCH)

    def _file(self, name: str) -> Path:
        if not self._cache.has(name):
            raise MissingContent((name,))
        return self._cache.path(name)

    def _mounted(self, split: str) -> ptq.Dataset | None:
        """The split, if this machine has the same images."""
        expected = self.source.calibration_data if split == "calibration" else self.source.validation_data
        try:
            found = ptq.load_data(self.source.data, self.network, split=split)
        except (FileNotFoundError, ValueError):
            return None
        return found if described(found) == expected else None


def described(data: ptq.Dataset) -> str:
    """Name and fingerprint of a data set."""
    return f"{data.name} {data.fingerprint}"


def packed_name(source: Source, split: str, first: int, second: int) -> str:
    """File with packed images: of ``calibration`` count and seed, of ``validation`` first image and how many."""
    data = source.calibration_data if split == "calibration" else source.validation_data
    about = sha256(f"{source.name} {data} {split} {first} {second}".encode()).hexdigest()[:32]
    return f"images-{about}.safetensors"


class SourceFiles:
    """Files of the sources that the client can send.

    Parameters
    ----------
    cache : ContentCache
        The client's.
    """

    def __init__(self, cache: ContentCache) -> None:
        self._cache = cache
        self._open: dict[str, OpenSource] = {}

    def add(self, name: str, data: str, *, pretrained: bool, checkpoint: Path | None) -> Source:
        """A source of the study: loaded once, its weights kept where they are not in the package."""
        network = ptq.load_model(name, pretrained=pretrained, checkpoint=checkpoint)
        found = weights_fingerprint(network)
        weights = None
        if name not in ptq.BUNDLED or checkpoint is not None:
            weights = f"weights-{found[:32]}.safetensors"
            if not self._cache.has(weights):
                self._cache.put(weights, pack_weights(network))
        place = data if data == DIGITS else str(Path(data).resolve())
        splits = [described(ptq.load_data(place, network, split=split)) for split in ("calibration", "validation")]
        source = Source(name, found, weights, place, *splits)
        self._open[found + place] = opened = OpenSource(source, self._cache)
        opened.network = network
        return source

    def size(self, source: Source, split: str) -> int:
        """Images of a split."""
        return len(ptq.load_data(source.data, self._open[source.sha256 + source.data].network, split=split))

    def pack(self, source: Source, name: str, *, first: int, images: int, seed: int | None) -> None:
        """Make a file that a worker asked for: of calibration images if there is a seed, else of evaluation images."""
        opened = self._open[source.sha256 + source.data]
        if seed is not None and name == packed_name(source, "calibration", images, seed):
            self._cache.put(name, pack_images(opened.calibration_images(images, seed)))
            return
        data = ptq.load_data(source.data, opened.network, split="validation")
        for start in range(first, first + images, BATCH):
            if name == packed_name(source, "validation", start, BATCH):
                pixels, labels = data.read(range(start, min(start + BATCH, len(data))))
                self._cache.put(name, pack_images(pixels, labels))
                return
        raise ValueError(f"a worker asked for {name}, which is nothing of this study")
