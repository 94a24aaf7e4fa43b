"""Distillation of a whole quantized network: all scales, biases and norms at once, codes as they are."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import Any, Final

import torch
from torch import nn

from ptqsim.common.progress import Progress
from ptqsim.ptq.calibration.methods.protocol import Reconstruction
from ptqsim.ptq.calibration.reconstruction.augment import augmented
from ptqsim.ptq.calibration.reconstruction.learned import LearnedNorm, LearnedOperation, norms_in
from ptqsim.ptq.network.admission.given import no_autocast
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.network.tasks.task import task_of
from ptqsim.ptq.threads import one_thread

TOLD: Final = 10
"""Steps between two words on the progress."""


def distill(
    quantized: QuantizedModel,
    network: nn.Module,
    images: torch.Tensor,
    options: Reconstruction,
    seed: int,
    progress: Progress,
) -> dict[str, float]:
    """Learn scales and biases of all operations, and all norms, so that the outputs are those of the float network.

    Parameters
    ----------
    quantized : QuantizedModel
        Calibrated; it is changed.
    network : nn.Module
        The float network.
    images : float tensor [N, C, H, W]
    options : Reconstruction
        Batch, rates, and `distill` steps.
    seed : int
        Of the images that are made.
    progress : callable
        Called with steps done, all steps, and the loss.

    Returns
    -------
    dict
        The task's mean divergence from the float network on the images as they are, ``before`` and ``after``.

    Raises
    ------
    ValueError
        Where the loss is not finite.
    """
    device = next(quantized.model.parameters()).device
    exact, images = QuantizedModel(network), images.to(device)
    generator = torch.Generator().manual_seed(seed)
    task = task_of(network)
    with one_thread(device), no_autocast():
        before = _divergence(quantized, exact, images, options.batch)
        operations = [LearnedOperation(op, 0.0, generator, learn_rounding=False) for op in quantized.layers.values()]
        norms = norms_in(quantized) if options.norm_rate else []
        learned: list[LearnedOperation | LearnedNorm] = [*operations, *norms]
        groups = [
            {"params": [ratio for one in operations for ratio in one.ratios()], "lr": options.scale_rate},
            {"params": [one.bias for one in operations if one.bias is not None], "lr": options.bias_rate},
            {"params": [variable for norm in norms for variable in norm.variables()], "lr": options.norm_rate},
        ]
        optimizer = torch.optim.Adam([group for group in groups if group["params"]])
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.distill)
        with ExitStack() as stack:
            for one in learned:
                stack.enter_context(one)
            for step in range(options.distill):
                batch = augmented(images, options.batch, generator)
                expected = exact(batch)
                with torch.enable_grad():
                    try:
                        found = quantized.model(batch)
                    except ValueError as error:  # a quantizer that met NaN
                        raise ValueError(f"distillation stopped at step {step}: {error}; try lower rates") from None
                    loss = task.divergence(found, expected).mean()
                    optimizer.zero_grad()
                    loss.backward()
                if not math.isfinite(value := float(loss.detach())):
                    raise ValueError(f"distillation stopped at step {step}: the loss became {value}; try lower rates")
                optimizer.step()
                schedule.step()
                if (step + 1) % TOLD == 0:
                    progress(step + 1, options.distill, f"distillation, divergence {value:.3f}")
        for one in learned:
            one.finish()
        return {"before": before, "after": _divergence(quantized, exact, images, options.batch)}


def _divergence(quantized: QuantizedModel, exact: QuantizedModel, images: torch.Tensor, batch: int) -> float:
    found: list[Any] = []
    for part in images.split(batch):
        found += task_of(exact.model).divergence(quantized(part), exact(part)).tolist()
    return math.fsum(found) / len(found)
