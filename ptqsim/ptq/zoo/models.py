"""Networks by name: bundled and fetched ones, timm's, transformers' DETR, and local checkpoints."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ptqsim.ptq.zoo.bundled import BUNDLED, BundledModel
from ptqsim.ptq.zoo.detector_names import DETECTORS
from ptqsim.ptq.zoo.detectors import build_detector, load_detector
from ptqsim.ptq.zoo.fetched import FETCHED, FetchedModel
from ptqsim.ptq.zoo.names import timm_name
from ptqsim.ptq.zoo.weights import fill, read_weights


def load_model(
    name: str, *, pretrained: bool = False, checkpoint: str | Path | None = None, num_classes: int | None = None
) -> nn.Module:
    """A network in evaluation mode.

    Parameters
    ----------
    name : str
        A bundled model (``vit_digits``), one that ``ptqsim fetch`` makes (``dinov2_small_photos``), a short name of a
        network of the papers (``deit_small``, see
        :data:`ptqsim.ptq.zoo.names.PAPER_MODELS`), any model name of timm, or a detector (``detr_digits``, bundled;
        ``detr_resnet_50``, the DETR of transformers).
    pretrained : bool
        Fetch timm's pretrained weights over the network.  A bundled model brings its own.
    checkpoint : path, optional
        A local safetensors file with the network's weights, instead.  Files of timm's own hub are read as they are.
    num_classes : int, optional
        Of a timm model; by default that of the checkpoint's head, or timm's own.

    Raises
    ------
    ValueError
        For an unknown name (it suggests the nearest), a checkpoint that is damaged or of another network, or a timm
        model with no weights to be had.
    FileNotFoundError
        Where the checkpoint isn't there, or a model to be fetched was not.
    """
    if num_classes is not None and num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}; legal is 1 or more: feature extractors are not quantized yet")
    if checkpoint is not None and pretrained:
        raise ValueError("both pretrained weights and a checkpoint were asked for: choose one of them")
    if name in DETECTORS:
        return load_detector(DETECTORS[name], pretrained, Path(checkpoint) if checkpoint else None).eval()
    full = timm_name(name)
    weights = None if checkpoint is None else read_weights(Path(checkpoint))
    if full is None:
        if pretrained:
            raise ValueError(f"{name} has its own weights: leave --pretrained out")
        own = _own(name)
        weights = weights if weights is not None else read_weights(own.weights)
        model = own.build()
    else:
        if weights is None and not pretrained:
            raise ValueError(
                f"no weights were given for {name}: fetch timm's with --pretrained (needs the network), or name a "
                "local safetensors file with --checkpoint"
            )
        model = _timm_model(full, pretrained, num_classes or _classes(full, weights))
    if weights is not None:
        fill(model, weights, name)
    return model.eval()


def build(name: str, num_classes: int | None = None) -> nn.Module:
    """A network by name, with the bundled weights or, for a timm model, without trained ones.

    For loading a calibrated model, which brings its own parameters.
    """
    if name in DETECTORS:
        return build_detector(DETECTORS[name], num_classes).eval()
    full = timm_name(name)
    if full is None:
        return load_model(name) if name in BUNDLED else FETCHED[name].build().eval()
    return _timm_model(full, pretrained=False, num_classes=num_classes).eval()


def _own(name: str) -> BundledModel | FetchedModel:
    return BUNDLED[name] if name in BUNDLED else FETCHED[name]


def _timm_model(name: str, pretrained: bool, num_classes: int | None) -> nn.Module:
    import timm

    arguments: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries; the error below says what failed
    try:
        model: nn.Module = timm.create_model(name, pretrained=pretrained, **arguments)
    except Exception as error:
        if not pretrained:
            raise
        # timm's downloader fails with whatever its HTTP library raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"the pretrained weights of {name} could not be fetched ({reason}): check the network, or name a local "
            "safetensors file with --checkpoint"
        ) from None
    return model


def _classes(name: str, weights: dict[str, torch.Tensor] | None) -> int | None:
    """Number of classes of a checkpoint's head, wherever this network of timm has it."""
    import timm

    heads = getattr(timm.get_pretrained_cfg(name), "classifier", None)
    bias = f"{heads[0] if isinstance(heads, tuple) else heads}.bias"
    return None if weights is None or bias not in weights else len(weights[bias])


def check_device(device: str) -> str:
    """The device, if torch can use it; else a ValueError."""
    try:
        torch.zeros(1, device=device).item()  # those of the meta device have no values
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device!r} can't be used ({reason}): try cpu") from None
    return device
