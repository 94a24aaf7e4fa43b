"""Networks by name: bundled and fetched ones, timm's, transformers' DETR, and local checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from ptqsim.ptq.network.tasks.embedding import Embedding
from ptqsim.ptq.zoo.architecture import first_channels, head_classes, layer_names, make_network, stored_size
from ptqsim.ptq.zoo.detector_names import DETECTORS
from ptqsim.ptq.zoo.detectors import build_detector, load_detector
from ptqsim.ptq.zoo.names import timm_name
from ptqsim.ptq.zoo.options import ModelOptions, ModelTask
from ptqsim.ptq.zoo.own import OWN
from ptqsim.ptq.zoo.weights import fill, read_weights

_MADE_WITH: Final = "made_with"
"""Attribute of a network with the options that differ from what its name says."""


def load_model(
    name: str,
    *,
    pretrained: bool = False,
    checkpoint: str | Path | None = None,
    num_classes: int | None = None,
    img_size: int | tuple[int, int] | None = None,
    in_chans: int | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    task: str | None = None,
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
        By default that of the checkpoint's head (0 if it has none), or timm's own.  With 0 a head is left out.
    img_size : int or tuple of (int, int), optional
        Side of the images, or height and width.  By default what the checkpoint's position embedding is for, or timm's
        own.  Another size than the checkpoint's has its position embeddings resized as timm does.
    in_chans : int, optional
        Channels of the images; by default those that the checkpoint's first convolution takes, or timm's own.
    model_kwargs : dict, optional
        Other arguments of ``timm.create_model``, such as ``{"global_pool": "avg"}``; plain values.
    task : {"classification", "embedding"}, optional
        What the outputs are; by default an embedding if the network has no head.

    Raises
    ------
    TypeError
        For an option of a wrong type.
    ValueError
        For an unknown name (it suggests the nearest), a checkpoint that is damaged or of another network, a timm
        model with no weights to be had, and options that contradict each other or the weights.
    FileNotFoundError
        Where the checkpoint isn't there, or a model to be fetched was not.
    """
    options = ModelOptions.of(
        img_size=img_size, num_classes=num_classes, in_chans=in_chans, model_kwargs=model_kwargs, task=task
    )
    return load_with_options(name, options, pretrained=pretrained, checkpoint=checkpoint)


def load_with_options(
    name: str, options: ModelOptions, *, pretrained: bool = False, checkpoint: str | Path | None = None
) -> nn.Module:
    """A network in evaluation mode, as :func:`load_model`; :func:`options_of` then has what it was made with."""
    if checkpoint is not None and pretrained:
        raise ValueError("both pretrained weights and a checkpoint were asked for: choose one of them")
    if name in DETECTORS:
        _refuse_options(name, options)
        return load_detector(DETECTORS[name], pretrained, Path(checkpoint) if checkpoint else None).eval()
    full = timm_name(name)
    if full is None and pretrained:
        raise ValueError(f"{name} has its own weights: leave --pretrained out")
    if checkpoint is not None or full is None:
        return _with_weights(name, full, options, None if checkpoint is None else Path(checkpoint))
    if not pretrained:
        raise ValueError(
            f"no weights were given for {name}: fetch timm's with --pretrained (needs the network), or name a "
            "local safetensors file with --checkpoint"
        )
    _check_pretrained_head(full, options)
    return _finished(make_network(name, full, options, pretrained=True), options)


def build(name: str, num_classes: int | None = None, options: Mapping[str, Any] | None = None) -> nn.Module:
    """A network by name, with the bundled weights or, for a timm model, without trained ones.

    For loading a calibrated model, which brings its own parameters.

    Parameters
    ----------
    name : str
    num_classes : int, optional
        Of the head, unless the options say so.
    options : mapping, optional
        What :func:`options_of` had of the network that was calibrated.
    """
    if name in DETECTORS:
        return build_detector(DETECTORS[name], num_classes).eval()
    full = timm_name(name)
    chosen = ModelOptions.from_dict(options or {})
    if full is None:
        # its own weights, unless the options are those of other weights, or they were not fetched
        with suppress(ValueError, FileNotFoundError):
            return load_with_options(name, chosen)
    elif chosen.num_classes is None:
        chosen = replace(chosen, num_classes=num_classes)
    return _finished(make_network(name, full, chosen), chosen)


def options_of(network: nn.Module) -> dict[str, Any]:
    """Options that a network by name was made with, as values of JSON; empty where it is as the name says."""
    return dict(getattr(network, _MADE_WITH, {}))


def _with_weights(name: str, full: str | None, given: ModelOptions, checkpoint: Path | None) -> nn.Module:
    """The network that weights, by default its own, are of: what they tell of it completes the options."""
    weights = read_weights(OWN[name].weights if checkpoint is None else checkpoint)
    head, first = layer_names(full)
    options = given.with_told(head_classes(weights, head), first_channels(weights, first))
    if checkpoint is None and not given.to_dict():
        options = given  # a bundled model is as its name says
    model = make_network(name, full, options)
    stored = stored_size(model, weights)
    if stored is not None and given.img_size is None:
        options = replace(options, img_size=stored)
        model = make_network(name, full, options)
    dropped = head if given.num_classes == 0 else None
    fill(model, weights, name, resize=given.img_size is not None, dropped=dropped)
    return _finished(model, options)


def _finished(model: nn.Module, options: ModelOptions) -> nn.Module:
    """The network with its task, and what it was made with."""
    task = options.task
    if task == ModelTask.CLASSIFICATION and getattr(model, "num_classes", None) == 0:
        raise ValueError(
            "task classification was asked for, and the network has no head (num_classes=0): try --task embedding"
        )
    if task == ModelTask.EMBEDDING:
        model.task = Embedding()  # type: ignore[assignment]
    if made_with := options.to_dict():
        setattr(model, _MADE_WITH, made_with)
    return model.eval()


def _refuse_options(name: str, options: ModelOptions) -> None:
    if given := options.to_dict():
        raise ValueError(f"{name} takes no option {next(iter(given))}: it is made for its task as it is; leave it out")


def _check_pretrained_head(full: str, options: ModelOptions) -> None:
    """timm puts a head of random weights where the pretrained one has another number of classes."""
    import timm

    known = getattr(timm.get_pretrained_cfg(full), "num_classes", None)
    if options.num_classes and known is not None and options.num_classes != known:
        raise ValueError(
            f"num_classes was given as {options.num_classes}, and the pretrained weights of {full} have "
            f"{f'{known} classes' if known else 'no head'}: leave the option out, or name trained weights with "
            "--checkpoint"
        )


def check_device(device: str) -> str:
    """The device, if torch can use it; else a ValueError."""
    try:
        torch.zeros(1, device=device).item()  # those of the meta device have no values
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device!r} can't be used ({reason}): try cpu") from None
    return device
