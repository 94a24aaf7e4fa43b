"""The training of one part: its output against that of the float network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from ptqsim.ptq.calibration.methods.protocol import Reconstruction
from ptqsim.ptq.calibration.reconstruction.learned import LearnedNorm, LearnedOperation, mixed
from ptqsim.ptq.calibration.reconstruction.low_rank import LowRankFisher
from ptqsim.ptq.calibration.reconstruction.quantizers import Weight
from ptqsim.ptq.calibration.reconstruction.recorded import BATCH, Arguments

BETA: Final = (20.0, 2.0)
"""First and last exponent of AdaRound's regularizer (Nagel et al., ICML 2020, section 3.2)."""
WARM_UP: Final = 0.2
"""Part of the iterations without the regularizer."""


@dataclass(frozen=True)
class PartData:
    """Tensors at the borders of a part, each [N, ...].

    Attributes
    ----------
    quantized, exact : float tensor
        Its input in the quantized network and in the float one.
    target : float tensor
        Its output in the float network.
    weights : float tensor or None
        Weights of the squared errors of the output, with a mean of 1; None where all count the same.
    arguments : Arguments
    """

    quantized: torch.Tensor
    exact: torch.Tensor
    target: torch.Tensor
    weights: torch.Tensor | None
    arguments: Arguments

    def loss(self, found: torch.Tensor, chosen: torch.Tensor | slice) -> torch.Tensor:
        """Mean weighted squared error of outputs for some of the images."""
        error = (found - self.target[chosen]).square()
        return (error if self.weights is None else error * self.weights[chosen]).mean()

    def total(self, module: nn.Module) -> float:
        """The loss over all images, of the part as it is."""
        with torch.no_grad():
            parts = [slice(i, i + BATCH) for i in range(0, len(self.target), BATCH)]
            found = [float(self.loss(self.arguments.call(module, self.quantized[p]), p)) for p in parts]
            sizes = [len(self.target[p]) for p in parts]
        return math.fsum(one * size for one, size in zip(found, sizes, strict=True)) / len(self.target)


def train(
    module: nn.Module,
    operations: Sequence[LearnedOperation],
    norms: Sequence[LearnedNorm],
    data: PartData,
    options: Reconstruction,
    fisher: LowRankFisher | None,
    generator: torch.Generator,
    report: Callable[[int, float], None],
) -> dict[str, Any]:
    """Learn scales, rounding and biases of the operations of a part, and its norms.

    Returns
    -------
    dict
        Loss before and after, over all images, in units of the weighted squared error.

    Raises
    ------
    FloatingPointError
        Where the loss is not finite.
    """
    before = data.total(module)
    groups, weights = _parameters(operations, norms, options)
    optimizer = torch.optim.Adam(groups)
    learned: list[LearnedOperation | LearnedNorm] = [*operations, *norms]
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.iterations)
    unit = before or 1.0
    updates = {at * options.iterations // max(options.rank, 1) for at in range(options.rank)}
    with ExitStack() as stack, torch.enable_grad():
        for one in learned:
            stack.enter_context(one)
        for step in range(options.iterations):
            chosen = torch.randint(len(data.target), (min(options.batch, len(data.target)),), generator=generator)
            x = data.quantized[chosen]
            if options.drop:
                x = mixed(x, data.exact[chosen], options.drop, generator)
            if fisher is not None and step in updates:
                fisher.update(operations)
            try:
                found = data.arguments.call(module, x)
            except ValueError as error:  # a quantizer met NaN; nothing else is wrong with the part, as it ran before
                raise FloatingPointError(f"step {step} failed: {error}") from None
            loss = data.loss(found, chosen) / unit if fisher is None else fisher.loss(found, chosen)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise FloatingPointError(f"the loss became {value} at step {step}")
            objective = loss
            if weights and (beta := _beta(step / options.iterations)) is not None:
                undecided = torch.stack([weight.undecided(beta) for weight in weights]).mean()
                objective = loss + options.regularizer * undecided
            optimizer.zero_grad()
            objective.backward()
            optimizer.step()
            schedule.step()
            report(step + 1, value)
    for one in learned:
        one.finish()
    return {"before": before, "after": data.total(module)}


def _beta(done: float) -> float | None:
    """Exponent of the regularizer, which falls from the first to the last by half a cosine; None in the warm-up."""
    if done < WARM_UP:
        return None
    first, last = BETA
    return last + 0.5 * (first - last) * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def _parameters(
    operations: Sequence[LearnedOperation], norms: Sequence[LearnedNorm], options: Reconstruction
) -> tuple[list[dict[str, Any]], list[Weight]]:
    weights = [operation.b for operation in operations if isinstance(operation.b, Weight)]
    ratios = [ratio for operation in operations for ratio in operation.ratios()]
    groups = [
        {"params": [weight.v for weight in weights], "lr": options.rounding_rate},
        {"params": ratios, "lr": options.scale_rate},
        {"params": [o.bias for o in operations if o.bias is not None], "lr": options.bias_rate},
        {"params": [variable for norm in norms for variable in norm.variables()], "lr": options.norm_rate},
    ]
    return [group for group in groups if group["params"]], weights
