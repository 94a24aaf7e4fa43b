"""Selection of the additions of a preset that help on a network, by its calibration images alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from ptqsim.common.progress import Progress, prefixed
from ptqsim.ptq.calibration.layer_cache import LayerCache
from ptqsim.ptq.calibration.layerwise import Bits, Layerwise
from ptqsim.ptq.calibration.methods.protocol import Method, Trail
from ptqsim.ptq.calibration.operand_rules import OperandRules
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.network.tasks.task import task_of
from ptqsim.ptq.threads import each


@dataclass(frozen=True)
class Loss:
    """Distance of a quantized network from the float one on images that were held out.

    Attributes
    ----------
    divergence : float
        The task's, a mean over the images; infinite if it is not finite.
    squared_error : float
        Of the outputs, a mean over the images: where the divergence is the same, as that of a network with one class,
        or of one whose probabilities are 0 and 1 to the last bit.
    """

    divergence: float
    squared_error: float

    def __lt__(self, other: Loss) -> bool:
        return (self.divergence, self.squared_error) < (other.divergence, other.squared_error)

    def entry(self, best: Loss) -> dict[str, Any]:
        """Entry of the trail, given the best loss before it."""
        found: dict[str, Any] = {"divergence": self.divergence if math.isfinite(self.divergence) else None}
        if self.divergence == best.divergence and self.squared_error != best.squared_error:
            found |= {"decided_by": "squared_error", "squared_error": self.squared_error}
            found |= {"squared_error_before": best.squared_error}
        return found


@dataclass(frozen=True)
class Selection:
    """Add one option after the other to a method, and keep each that lowers the held-out loss.

    The loss is the task's divergence from the float network, KL(float || quantized) of a classifier, of images that the
    scales were not searched on: the images are divided into folds, and each is held out once.  Where that loss is the
    same for both, the squared error of the outputs decides.

    Attributes
    ----------
    network : nn.Module
    images : float tensor [N, C, H, W]
        At least as many as there are folds.
    bits : mapping
        Widths of every layer.
    seed, kept, progress, rules : int, LayerCache, Progress and OperandRules
        As for :class:`~ptqsim.ptq.calibration.layerwise.Layerwise`.
    """

    network: nn.Module
    images: torch.Tensor
    bits: Bits
    seed: int
    kept: LayerCache
    progress: Progress
    rules: OperandRules = field(default_factory=OperandRules)

    def __call__(self, start: Method, additions: Sequence[Mapping[str, Any]], folds: int) -> tuple[Method, Trail]:
        """The start with the additions that helped, and the trail: the start itself, then each in the order tried.

        Raises
        ------
        ValueError
            If there are fewer images than folds.
        """
        count = len(self.images)
        if count < folds:
            raise ValueError(
                f"{start.name} with a selection holds out one of {folds} parts of the calibration images, but there "
                f"{'is' if count == 1 else 'are'} {count}: give at least {folds}, better 32"
            )
        device = next(self.network.parameters()).device
        with ExitStack() as stack:
            parts = [
                (
                    stack.enter_context(
                        Layerwise(
                            self.network,
                            self.images[_others(count, fold, folds)],
                            self.seed,
                            self.kept,
                            rules=self.rules,
                        )
                    ),
                    self.images[fold::folds].to(device),
                )
                for fold in range(folds)
            ]
            method = start
            best = _held_out_loss(parts, method, self.bits, prefixed(self.progress, method.name))
            trail: Trail = [{"added": {}, **best.entry(best), "kept": True}]
            for addition in additions:
                if _has(method, addition):
                    continue
                trial = replace(method, **addition)  # type: ignore[type-var]  # a method is a dataclass
                loss = _held_out_loss(parts, trial, self.bits, prefixed(self.progress, _words(addition)))
                trail.append({"added": dict(addition), **loss.entry(best), "kept": loss < best})
                if loss < best:
                    method, best = trial, loss
        return method, trail


def _held_out_loss(
    folds: Sequence[tuple[Layerwise, torch.Tensor]], method: Method, bits: Bits, progress: Progress
) -> Loss:
    total, squared, count = 0.0, 0.0, 0
    for layerwise, held_out in folds:
        quantized = layerwise.quantized
        for name, result in layerwise.run(method, bits, progress).items():
            result.apply(quantized.layers[name])
        exact, found = _logits(quantized, held_out, "float"), _logits(quantized, held_out, "fake_quant")
        quantized.mode = "float"
        total += float(task_of(quantized.model).divergence(found, exact).sum())
        squared += float((found.double() - exact.double()).square().sum())
        count += len(held_out)
    return Loss(total / count if math.isfinite(total) else math.inf, squared / count)


def _logits(quantized: QuantizedModel, images: torch.Tensor, mode: str) -> torch.Tensor:
    """In a piece of work of its own, so that no bit depends on the number of threads."""
    quantized.mode = mode

    def run(images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():  # in float mode too by the products that were calibrated
            return quantized.model(images)  # type: ignore[no-any-return]

    return next(each(run, [images], 1))


def _others(count: int, fold: int, folds: int) -> list[int]:
    return [i for i in range(count) if i % folds != fold]


def _has(method: Method, addition: Mapping[str, Any]) -> bool:
    return all(getattr(method, name) == value for name, value in addition.items())


def _words(addition: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in addition.items())
