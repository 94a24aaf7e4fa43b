"""Models and data as a worker gets them: by name where its machine has the same, else by files that the client sends.

The bundled models and data come with the package.  Any other network is a weights file in the cache.  A folder of
images is read where it is mounted; where it is not, the client packs the images that are needed into files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptqsim import ptq
from ptqsim.common import fingerprint
from ptqsim.ptq.datasets.load import NAMED, sample_indices
from ptqsim.ptq.datasets.packed import DatasetPart, PackedImages, pack_images, pack_weights, read_packed
from ptqsim.ptq.evaluation.evaluate import check_classes
from ptqsim.ptq.files.tensors import load_tensors, tensor_bytes
from ptqsim.ptq.network.description.identity import weights_fingerprint
from ptqsim.ptq.network.tasks.task import Classification, task_of
from ptqsim.sweep.work.code import code_version
from ptqsim.sweep.work.content import ContentCache, MissingContent

if TYPE_CHECKING:
    import torch
    from torch import nn

BATCH = 100
"""Images in one batch, and in one packed file."""


@dataclass(frozen=True)
class StudySource:
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
        Names of the splits.  What is in them counts by the images that a task uses: the fingerprint of these is its
        ``content``.
    options : dict
        What the network is made with, see `ptqsim.ptq.options_of`.
    """

    name: str
    sha256: str
    weights: str | None
    data: str
    calibration_data: str
    validation_data: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


class OpenSource:
    """A source on this machine: the network and the images.

    Parameters
    ----------
    source : StudySource
    cache : ContentCache
        Of this machine.
    """

    def __init__(self, source: StudySource, cache: ContentCache) -> None:
        self.source = source
        self._cache = cache
        self._data: dict[str, ptq.Dataset | None] = {}

    @cached_property
    def network(self) -> nn.Module:
        """The float network; a ValueError where this installation brings other weights."""
        source = self.source
        if source.weights is None:
            network = ptq.load_model(source.name)
        else:
            network = ptq.load_model(source.name, checkpoint=self._file(source.weights), **source.options)
        if weights_fingerprint(network) != source.sha256:
            raise ValueError(
                f"{source.name} has other weights here than on the client: install the same ptqsim on both"
            )
        return network

    def calibration_images(self, count: int, seed: int, content: str) -> torch.Tensor:
        """float32 [count, C, H, W], of this content."""
        mounted = self._mounted("calibration")
        if mounted is not None and count <= len(mounted):
            chosen = sample_indices(mounted, count, seed)
            if mounted.fingerprint_of(chosen) == content:
                return mounted.read(chosen)[0]
        return read_packed(self._file(packed_name(self.source, content, count, seed)))

    def validation(self, first: int, images: int, content: str) -> ptq.Dataset:
        """``images`` of the validation split from ``first`` on, a multiple of ``BATCH``, of this content."""
        mounted = self._mounted("validation")
        if mounted is not None and first + images <= len(mounted):
            part = DatasetPart(mounted, first, images)
            if part.fingerprint == content:
                return part
        starts = range(first, first + images, BATCH)
        names = [packed_name(self.source, content, start, None) for start in starts]
        lacking = tuple(name for name in names if not self._cache.has(name))
        if lacking:
            raise MissingContent(lacking)
        paths = [self._cache.path(name) for name in names]
        return PackedImages(self.source.validation_data, content, paths, BATCH)

    def float_logits(self, images: ptq.Dataset, content: str) -> torch.Tensor:
        """Logits [N, classes] of the float network on images of this content; kept on this machine."""
        source = self.source
        network = [source.name, source.options, source.sha256]  # equal weights may be pooled in another way
        about = fingerprint.value([network, content, len(images), code_version()])
        name = f"float-{about[:32]}.safetensors"
        if not self._cache.has(name):
            logits = ptq.evaluate(self.network, images, batch=BATCH).logits
            self._cache.put(name, tensor_bytes({"logits": logits}))
        return load_tensors(self._cache.path(name))["logits"]

    def _file(self, name: str) -> Path:
        if not self._cache.has(name):
            raise MissingContent((name,))
        return self._cache.path(name)

    def _mounted(self, split: str) -> ptq.Dataset | None:
        """The split as this machine has it, if it has one of that name."""
        if split not in self._data:
            try:
                self._data[split] = ptq.load_data(self.source.data, self.network, split=split)
            except (OSError, ValueError):
                self._data[split] = None
        return self._data[split]


def packed_name(source: StudySource, content: str, first: int, seed: int | None) -> str:
    """File with preprocessed images: of the calibration their number and seed, else the first image of a batch.

    How images are preprocessed follows from the network's name, what it is made with, and the code.
    """
    about = fingerprint.value([source.name, dict(source.options), content, first, seed, code_version()])
    return f"images-{about[:32]}.safetensors"


class SourceFiles:
    """Files of the sources that the client can send.

    Parameters
    ----------
    cache : ContentCache
        The client's.
    """

    def __init__(self, cache: ContentCache) -> None:
        self._cache = cache
        self._networks: dict[StudySource, nn.Module] = {}
        self._data: dict[tuple[StudySource, str], ptq.Dataset] = {}

    def add(
        self, name: str, data: str, options: ptq.ModelOptions, *, pretrained: bool, checkpoint: Path | None
    ) -> StudySource:
        """A source of the study: loaded once, its weights kept where they are not in the package."""
        network = ptq.load_with_options(name, options, pretrained=pretrained, checkpoint=checkpoint)
        if (task := task_of(network).name) != Classification.name:
            raise ValueError(f"model {name} is one of {task}, and studies are of classifiers: leave it out")
        found = weights_fingerprint(network)
        weights = None
        made_with = ptq.options_of(network)
        if name not in ptq.BUNDLED or checkpoint is not None or made_with:
            weights = f"weights-{found[:32]}.safetensors"
            if not self._cache.has(weights):
                self._cache.put(weights, pack_weights(network))
        place = data if data in NAMED else str(Path(data).resolve())
        splits = {split: ptq.load_data(place, network, split=split) for split in ("calibration", "validation")}
        check_classes(splits["validation"], getattr(network, "num_classes", None))
        calibration, validation = (opened.name for opened in splits.values())
        source = StudySource(name, found, weights, place, calibration, validation, made_with)
        self._networks[source] = network
        self._data |= {(source, split): opened for split, opened in splits.items()}
        return source

    def size(self, source: StudySource, split: str) -> int:
        """Images of a split."""
        return len(self._data[source, split])

    def content(self, source: StudySource, first: int, images: int, seed: int | None) -> str:
        """The fingerprint of calibration images if there is a seed, else of validation images from ``first`` on."""
        data = self._data[source, "validation" if seed is None else "calibration"]
        chosen = range(first, first + images) if seed is None else sample_indices(data, images, seed)
        return data.fingerprint_of(chosen)

    def pack(self, source: StudySource, name: str, *, first: int, images: int, seed: int | None, content: str) -> None:
        """Make a file that a worker asked for: of calibration images if there is a seed, else of evaluation images.

        Raises
        ------
        ValueError
            Where the images aren't any more what they were when the study began.
        """
        data = self._data[source, "validation" if seed is None else "calibration"]
        if self.content(source, first, images, seed) != content:
            raise ValueError(f"images of {source.data} have changed since the study began: start it again")
        if seed is not None and name == packed_name(source, content, images, seed):
            self._cache.put(name, pack_images(data.read(sample_indices(data, images, seed))[0]))
            return
        for start in range(first, first + images, BATCH):
            if seed is None and name == packed_name(source, content, start, None):
                pixels, labels = data.read(range(start, min(start + BATCH, first + images)))
                self._cache.put(name, pack_images(pixels, labels))
                return
        raise ValueError(f"a worker asked for {name}, which is nothing of this study")
