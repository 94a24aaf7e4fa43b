"""The detectors that have a name: the bundled one, and the DETR of the papers."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from ptqsim.ptq.datasets.detection.scenes import CLASSES, SIZE
from ptqsim.ptq.network.detr.detector import Detector
from ptqsim.ptq.network.detr.preprocessing import Preprocessing


@dataclass(frozen=True)
class DetrModel:
    """A DETR by name.

    Attributes
    ----------
    name : str
        Name for the CLI's ``--model``.
    arguments : dict
        Of transformers' ``DetrConfig``; ``backbone`` those of a ``ResNetConfig`` of transformers, or absent for timm's
        ResNet-50.
    preprocessing : Preprocessing
    hub : str or None
        Name under which transformers finds pretrained weights.
    """

    name: str
    arguments: dict[str, Any] = field(hash=False)
    preprocessing: Preprocessing
    hub: str | None = None

    @property
    def weights(self) -> Path:
        """Index of the safetensors files in the package; the model is bundled if there is nothing else to fetch."""
        return Path(str(files("ptqsim.ptq.zoo") / "parameters" / f"{self.name}.safetensors.index.json"))

    def config(self, num_classes: int | None = None) -> Any:
        """The ``DetrConfig`` of transformers, for as many classes as the model has or as are asked for."""
        from transformers import DetrConfig, ResNetConfig

        arguments = dict(self.arguments)
        if num_classes is not None:
            arguments["num_labels"] = num_classes
        if "backbone" in arguments:
            arguments["backbone_config"] = ResNetConfig(**arguments.pop("backbone"))
        return DetrConfig(**arguments)

    def build(self, num_classes: int | None = None) -> Detector:
        """The network with transformers' own random initialization; seed torch to make it reproducible."""
        from transformers import DetrForObjectDetection

        return Detector(DetrForObjectDetection(self.config(num_classes)), self.preprocessing)


# ResNet of 2 stages with 2 basic blocks each (stride 8), then 64 tokens; 2 + 3 layers of width 128; 1.3 M parameters
DETR_DIGITS: Final = DetrModel(
    "detr_digits",
    {
        "backbone": {
            "num_channels": 3,
            "embedding_size": 32,
            "hidden_sizes": [48, 96],
            "depths": [2, 2],
            "layer_type": "basic",
            "out_features": ["stage2"],
        },
        "num_labels": CLASSES,
        "num_queries": 20,
        "d_model": 128,
        "encoder_layers": 2,
        "decoder_layers": 3,
        "encoder_ffn_dim": 256,
        "decoder_ffn_dim": 256,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "dropout": 0.0,
    },
    Preprocessing(input_size=(3, SIZE, SIZE), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
)

# the network of Liu et al. Table 2; COCO's category ids, 1 to 90, are its class numbers
DETR_RESNET_50: Final = DetrModel(
    "detr_resnet_50",
    {"num_labels": 91},
    # ImageNet's statistics, as in Carion et al., appendix A.4
    Preprocessing((3, 800, 800), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), resize=(800, 1333)),
    hub="facebook/detr-resnet-50",
)

DETECTORS: Final[dict[str, DetrModel]] = {model.name: model for model in (DETR_DIGITS, DETR_RESNET_50)}
