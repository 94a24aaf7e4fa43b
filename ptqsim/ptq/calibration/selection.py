"""Which of a preset's additions help on a network, found on its calibration images alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ptqsim.ptq.calibration.layer_cache import KeptLayers
from ptqsim.ptq.calibration.layerwise import Bits, Layerwise, Progress
from ptqsim.ptq.calibration.methods import PTQ4ViT, PTQ4ViTPlus
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.network.task import task_of
from ptqsim.ptq.threads import each

Trail = list[dict[str, Any]]
"""What was tried: the addition, its held-out loss, and whether it was kept."""


def select(
    preset: PTQ4ViTPlus,
    network: nn.Module,
    images: torch.Tensor,
    bits: Bits,
    *,
    seed: int,
    kept: KeptLayers,
    progress: Progress,
) -> tuple[PTQ4ViT, Trail]:
    """Add one of the preset's additions after the other, and keep each that lowers the held-out loss.

    The loss is the cross-entropy between the float network's probabilities and the quantized network's (of a detector:
    its task's divergence), of images that its scales were not searched on: the images are divided into folds, and each
    is held out once.

    Parameters
    ----------
    preset : PTQ4ViTPlus
    network : nn.Module
    images : float tensor [N, C, H, W]
        At least as many as the preset has folds.
    bits : mapping
        Widths of every layer.
    seed, kept, progress
        As for :class:`~ptqsim.ptq.calibration.layerwise.Layerwise`.

    Returns
    -------
    method : PTQ4ViT
        The start, with what helped.
    trail : list of dict
        In the order tried; the first is the start itself.
    """
    if len(images) < preset.folds:
        raise ValueError(
            f"{preset.name} holds out one of {preset.folds} parts of the calibration images, but there "
            f"{'is' if len(images) == 1 else 'are'} {len(images)}: give at least {preset.folds}, better 32"
        )
    device = next(network.parameters()).device
    with ExitStack() as stack:
        folds = [
            (
                stack.enter_context(Layerwise(network, images[_others(len(images), fold, preset.folds)], seed, kept)),
                images[fold :: preset.folds].to(device),
            )
            for fold in range(preset.folds)
        ]
        method = preset.start()
        best = _held_out_loss(folds, method, bits, _prefixed(progress, method.name))
        trail: Trail = [{"added": {}, "cross_entropy": best, "kept": True}]
        for addition in preset.additions:
            if _has(method, addition):
                continue
            trial = replace(method, **addition)
            loss = _held_out_loss(folds, trial, bits, _prefixed(progress, _words(addition)))
            trail.append({"added": dict(addition), "cross_entropy": loss, "kept": loss < best})
            if loss < best:
                method, best = trial, loss
    return method, trail


def _held_out_loss(
    folds: Sequence[tuple[Layerwise, torch.Tensor]], method: PTQ4ViT, bits: Bits, progress: Progress
) -> float:
    total, count = 0.0, 0
    for layerwise, held_out in folds:
        quantized = layerwise.quantized
        for name, result in layerwise.run(method, bits, progress).items():
            result.apply(quantized.layers[name])
        exact, found = _logits(quantized, held_out, "float"), _logits(quantized, held_out, "fake_quant")
        quantized.mode = "float"
        total += task_of(quantized.model).divergence(found, exact)
        count += len(held_out)
    return total / count


def _logits(quantized: QuantizedModel, images: torch.Tensor, mode: str) -> torch.Tensor:
    """In a piece of work of its own, so that no bit depends on the number of threads."""
    quantized.mode = mode  # type: ignore[assignment]

    def run(images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():  # in float mode too by the products that were calibrated
            return quantized.model(images)  # type: ignore[no-any-return]

    return next(each(run, [images], 1))


def _others(count: int, fold: int, folds: int) -> list[int]:
    return [i for i in range(count) if i % folds != fold]


def _has(method: PTQ4ViT, addition: Mapping[str, Any]) -> bool:
    return all(getattr(method, name) == value for name, value in addition.items())


def _words(addition: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in addition.items())


def _prefixed(progress: Progress, words: str) -> Progress:
    return lambda done, total, name: progress(done, total, f"{words}: {name}")
