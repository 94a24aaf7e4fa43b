"""Networks of timm without weights, and what a checkpoint tells about the one that it is of."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from math import isqrt
from typing import Any

import torch
from torch import nn

from ptqsim.ptq.zoo.bundled import BUNDLED
from ptqsim.ptq.zoo.options import ModelOptions

Weights = Mapping[str, torch.Tensor]


def make_network(name: str, full: str | None, options: ModelOptions, *, pretrained: bool = False) -> nn.Module:
    """A network, with timm's pretrained weights or without trained ones.

    Parameters
    ----------
    name : str
        As users call it.
    full : str or None
        timm's name; None for a bundled model.
    options : ModelOptions
    pretrained : bool

    Raises
    ------
    ValueError
        For options that the network does not take, and for weights that can't be fetched.
    """
    import timm

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries; the error below says what failed
    arguments = options.arguments
    try:
        model: nn.Module = (
            BUNDLED[name].build(**arguments)
            if full is None
            else timm.create_model(full, pretrained=pretrained, **arguments)
        )
    except Exception as error:  # whatever timm's classes, or the HTTP library of its downloader, raise
        if not pretrained and not arguments:
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if pretrained and _can_be_made(full or name, arguments):
            raise ValueError(
                f"the pretrained weights of {full} could not be fetched ({reason}): check the network, or name a local "
                "safetensors file with --checkpoint"
            ) from None
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise ValueError(f"{name} can't be made with {given} ({reason}): leave out what it does not take") from None
    _check_patches(model, options)
    return model


def _can_be_made(full: str, arguments: Mapping[str, Any]) -> bool:
    """True unless the arguments are the reason for a failure; only asked after one."""
    import timm

    if not arguments:
        return True
    try:
        timm.create_model(full, **arguments)
    except Exception:
        return False
    return True


def _check_patches(model: nn.Module, options: ModelOptions) -> None:
    patch = _patch_size(model)
    if options.img_size is None or patch is None:
        return
    if any(side % step for side, step in zip(options.img_size, patch, strict=True)):
        raise ValueError(
            f"img_size is {options.img_size[0]}x{options.img_size[1]}, and the patches of the network are "
            f"{patch[0]}x{patch[1]}; legal are multiples of these"
        )


def _patch_size(model: nn.Module) -> tuple[int, int] | None:
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", None)
    return (patch[0], patch[1]) if isinstance(patch, tuple) and len(patch) == 2 else None


def layer_names(full: str | None) -> tuple[str, str]:
    """Names of the head (of several, the first) and of the first convolution of a network of timm."""
    import timm

    config = None if full is None else timm.get_pretrained_cfg(full)
    found = getattr(config, "classifier", None) or "head", getattr(config, "first_conv", None) or "patch_embed.proj"
    head, first = (names[0] if isinstance(names, (tuple, list)) else names for names in found)
    return head, first


def head_classes(weights: Weights, head: str) -> int | None:
    """Number of classes of a checkpoint's head; 0 where it has none, None where it does not tell.

    Parameters
    ----------
    weights : mapping of str to tensor
    head : str
        Name of the head in timm's present release.  Earlier ones had it under the first part of that name.
    """
    outer = head.partition(".")[0]
    for name in (head, outer):
        weight, bias = weights.get(f"{name}.weight"), weights.get(f"{name}.bias")
        if bias is not None and bias.ndim == 1 and (weight is None or len(weight) == len(bias)):
            return len(bias)
        if bias is None and weight is not None and weight.ndim == 2:
            return len(weight)
    return None if any(outer in key.split(".") for key in weights) else 0


def first_channels(weights: Weights, first: str) -> int | None:
    """Channels that a checkpoint's first convolution takes; None where it does not tell."""
    weight = weights.get(f"{first}.weight")
    return int(weight.shape[1]) if weight is not None and weight.ndim == 4 else None


def stored_size(model: nn.Module, weights: Weights) -> tuple[int, int] | None:
    """Height and width of the images that a checkpoint's position embedding is for, if they differ from the network's.

    Parameters
    ----------
    model : nn.Module
    weights : mapping of str to tensor

    Returns
    -------
    tuple of (int, int) or None
        None, too, where the checkpoint does not tell: without a position embedding, or with one of a number of tokens
        that is no square.
    """
    own, stored, patch = getattr(model, "pos_embed", None), weights.get("pos_embed"), _patch_size(model)
    if not isinstance(own, torch.Tensor) or stored is None or patch is None or own.ndim != stored.ndim:
        return None
    if stored.ndim == 4:  # [1, H, W, C]
        grid: tuple[int, int] | None = (int(stored.shape[1]), int(stored.shape[2]))
    else:
        grid = None if own.shape[-2] == stored.shape[-2] else _square(model, int(stored.shape[-2]))
    if grid is None or grid == tuple(getattr(model.patch_embed, "grid_size", ())):
        return None
    return grid[0] * patch[0], grid[1] * patch[1]


def _square(model: nn.Module, tokens: int) -> tuple[int, int] | None:
    """The square grid of so many tokens, some of which are for no patch."""
    prefix = 0 if getattr(model, "no_embed_class", False) else getattr(model, "num_prefix_tokens", 1)
    for others in dict.fromkeys((prefix, 1, 0)):
        side = isqrt(max(tokens - others, 0))
        if side and side * side == tokens - others:
            return side, side
    return None
