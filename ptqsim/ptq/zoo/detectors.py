"""Detectors with weights: bundled, pretrained, or from a local checkpoint."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import torch

from ptqsim.ptq.network.detr.detector import Detector
from ptqsim.ptq.zoo.detector_names import DetrModel
from ptqsim.ptq.zoo.weights import check_tensor, fill, read_weights


def load_detector(model: DetrModel, pretrained: bool, checkpoint: Path | None) -> Detector:
    """A detector by its entry among the names; see :func:`ptqsim.ptq.load_model` for arguments and errors.

    A checkpoint has the tensors of a :class:`Detector`, or those of transformers' ``DetrForObjectDetection`` under the
    names of any of its releases.
    """
    if model.hub is None:
        if pretrained:
            raise ValueError(f"{model.name} has its own weights: leave --pretrained out")
        detector = model.build()
        fill(detector, read_weights(checkpoint or model.weights), model.name)
        return detector
    if checkpoint is not None:
        return _from_file(model, checkpoint)
    if not pretrained:
        raise ValueError(
            f"no weights were given for {model.name}: fetch them with --pretrained (needs the network), or name a "
            "local safetensors file with --checkpoint"
        )
    return _from_hub(model, model.hub)


def build_detector(model: DetrModel, num_classes: int | None) -> Detector:
    """A detector for loading a calibrated model, which brings its own parameters."""
    if model.hub is None:
        return load_detector(model, False, None)
    return model.build(num_classes)


def _from_hub(model: DetrModel, source: str) -> Detector:
    from transformers import DetrForObjectDetection

    _quiet()
    try:
        detr = DetrForObjectDetection.from_pretrained(source)
    except Exception as error:  # whatever the downloader's HTTP library raises
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"the pretrained weights of {model.name} could not be fetched ({reason}): check the network, or name a "
            "local safetensors file with --checkpoint"
        ) from None
    return Detector(detr, model.preprocessing)


def _from_file(model: DetrModel, path: Path) -> Detector:
    weights = read_weights(path)
    head = next((key for key in weights if key.endswith("class_labels_classifier.bias")), None)
    if head is None:
        raise ValueError(
            f"the checkpoint has no tensor 'class_labels_classifier.bias', which {model.name} needs: it is of another "
            "network"
        )
    classes = len(weights[head]) - 1  # the last is "no object"
    if head.startswith("detr."):
        detector = model.build(classes)
        fill(detector, weights, model.name)
        return detector
    for key, tensor in weights.items():  # transformers converts whatever it finds
        if not key.endswith("num_batches_tracked"):
            check_tensor(key, tensor, torch.float32, model.name)
    return Detector(_renamed(model, path, classes), model.preprocessing)


def _renamed(model: DetrModel, path: Path, classes: int) -> Any:
    """transformers knows the names of its earlier releases, but reads folders only."""
    from transformers import DetrForObjectDetection

    _quiet()
    config = model.config(classes)
    with tempfile.TemporaryDirectory(prefix="ptqsim-detr-") as folder:
        config.save_pretrained(folder)
        (Path(folder) / "model.safetensors").symlink_to(path.resolve())
        try:
            loaded: Any = DetrForObjectDetection.from_pretrained(folder, config=config, output_loading_info=True)
        except RuntimeError as error:
            raise ValueError(f"{path} does not fit {model.name} ({error}): it is of another network") from None
    detr, report = loaded
    words = f"it is of another network than {model.name}"
    if missing := sorted(report["missing_keys"]):
        raise ValueError(f"the checkpoint has no tensor {missing[0]!r}: {words}")
    if extra := sorted(report["unexpected_keys"]):
        raise ValueError(f"the checkpoint has a tensor {extra[0]!r}, which the network has not: {words}")
    return detr


def _quiet() -> None:
    """transformers reports and shows progress on the terminal; errors say what matters."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries
