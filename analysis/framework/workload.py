"""The input of figures and tables: a model, its data and calibrated versions of it, each made when first used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from safetensors.torch import save
from torch import nn

from ptqsim import ptq
from ptqsim.common import files
from ptqsim.common.progress import Bars, no_bar
from ptqsim.ptq.datasets.load import sample_indices
from ptqsim.ptq.files.tensors import load_tensors
from ptqsim.ptq.network.description.identity import weights_fingerprint
from ptqsim.ptq.network.products.operations import MatmulOperation, Mode
from ptqsim.ptq.threads import one_thread

from .store import ArtifactStore
from .style import NAMES, bits_label


def bundled_models() -> tuple[str, ...]:
    """The bundled models whose weights are there."""
    return tuple(name for name, model in ptq.BUNDLED.items() if model.weights.is_file())


class Setting(NamedTuple):
    """A method and the widths of weights and activations."""

    method: str
    w_bits: int
    a_bits: int

    @property
    def label(self) -> str:
        """As in the papers' tables: ``PTQ4ViT W6A6``."""
        return f"{NAMES[self.method]} {bits_label(self.w_bits, self.a_bits)}"


@dataclass(frozen=True)
class Workload:
    """A model on its data; a context manager that removes what was captured on disk.

    Attributes
    ----------
    store : ArtifactStore
        Where finished results are kept.
    model : str
        A bundled model or a timm model name.
    data : str
        A bundled data set or a folder of images.
    pretrained : bool
        Load timm's pretrained weights.
    checkpoint : Path or None
        Load these weights.
    options : mapping
        Other arguments of :func:`ptqsim.ptq.load_model`.
    images : int
        Calibration images.
    seed : int
        Of the choice of calibration images and of the calibration.
    progress : callable
        Opens progress bars.
    """

    store: ArtifactStore
    model: str = "vit_digits"
    data: str = "digits"
    pretrained: bool = False
    checkpoint: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    images: int = 32
    seed: int = 0
    progress: Bars = field(default=no_bar, compare=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if "captured" in self.__dict__:
            self.captured.close()
            del self.__dict__["captured"]

    @property
    def label(self) -> str:
        """The model, and the seed."""
        return f"{self.model}, seed {self.seed}"

    @cached_property
    def network(self) -> nn.Module:
        """The float network."""
        return ptq.load_model(self.model, pretrained=self.pretrained, checkpoint=self.checkpoint, **self.options)

    @cached_property
    def operations(self) -> dict[str, MatmulOperation]:
        """The quantizable operations of the network, not calibrated, by name."""
        return ptq.QuantizedModel(self.network).layers

    @cached_property
    def calibration(self) -> ptq.Dataset:
        """The data set that calibration images are drawn from."""
        return ptq.load_data(self.data, self.network, split="calibration")

    @cached_property
    def validation(self) -> ptq.Dataset:
        """The data set that accuracy is measured on."""
        return ptq.load_data(self.data, self.network, split="validation")

    @cached_property
    def calibration_images(self) -> torch.Tensor:
        """float32 [images, 3, H, W]."""
        return ptq.sample_images(self.calibration, self.images, self.seed)

    @cached_property
    def captured(self) -> ptq.Captured:
        """Operands, outputs and gradients of every operation of the float network on the calibration images."""
        with self.progress("Capture", "image") as report, one_thread():
            return ptq.capture(
                self.network,
                self.calibration_images,
                seed=self.seed,
                progress=report,
            )

    @cached_property
    def model_fingerprint(self) -> str:
        """SHA-256 of the weights, names and shapes included."""
        return weights_fingerprint(self.network)

    @cached_property
    def data_fingerprints(self) -> dict[str, str]:
        """Names and contents of the calibration images and of the validation split."""
        chosen = self.calibration.fingerprint_of(sample_indices(self.calibration, self.images, self.seed))
        return {
            "calibration_data": f"{self.calibration.name} {chosen}",
            "validation_data": f"{self.validation.name} {self.validation.fingerprint}",
        }

    def key(self) -> dict[str, Any]:
        """Everything that decides a result made from this workload, as JSON values."""
        made_with = ptq.options_of(self.network)
        return {
            "model": self.model,
            **({"model_options": made_with} if made_with else {}),
            "model_sha256": self.model_fingerprint,
            **self.data_fingerprints,
            "calibration_images": self.images,
            "seed": self.seed,
        }

    def quantized(self, setting: Setting) -> ptq.QuantizedModel:
        """The network calibrated with a setting; kept as a checkpoint."""
        path = self.store.path("calibrated", {**self.key(), "setting": list(setting)}, ".safetensors")
        with self.store.locked(path):
            if not path.is_file():
                self._calibrate(setting, path)
        return ptq.load(path, self.network)

    def _calibrate(self, setting: Setting, path: Path) -> None:
        with self.progress(f"{setting.label}, calibration", "layer") as report:
            made = ptq.calibrate(
                self.network,
                self.calibration_images,
                method=setting.method,
                w_bits=setting.w_bits,
                a_bits=setting.a_bits,
                seed=self.seed,
                captured=self.captured,
                progress=report,
            )
        made.save(path)

    def float_outputs(self, limit: int) -> torch.Tensor:
        """Outputs [N, ...] of the float network on the first ``limit`` validation images, whatever its task; kept."""
        path = self.store.path("float_outputs", {**self.key(), "limit": limit}, ".safetensors")
        with self.store.locked(path):
            if not path.is_file():
                with self.progress(NAMES["float"], "image") as report:
                    made = ptq.measure(self.network, self.validation, limit=limit, progress=report)
                files.write(path, save({"outputs": made.logits}))
        return load_tensors(path)["outputs"]

    def evaluated(self, setting: Setting | None, mode: Mode | str, limit: int) -> ptq.Evaluation:
        """Logits of the first ``limit`` validation images; kept.

        Parameters
        ----------
        setting : Setting or None
            None is the float network itself.
        mode : {"float", "fake_quant", "integer"}
        limit : int
        """
        key = {**self.key(), "setting": setting and list(setting), "mode": mode, "limit": limit}
        path = self.store.path("logits", key, ".safetensors")
        if not path.is_file():
            model: nn.Module | ptq.QuantizedModel = self.network
            if setting is not None:
                model = self.quantized(setting)
                model.mode = mode
            label = NAMES["float"] if setting is None else f"{setting.label}, {NAMES[mode].lower()}"
            with self.progress(label, "image") as report:
                made = ptq.evaluate(model, self.validation, limit=limit, progress=report)
            files.write(path, save({"logits": made.logits, "labels": made.labels}))
        return ptq.Evaluation(**load_tensors(path))
