"""Rotations of residual streams learned by descent on the error of the products that read them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional as F

from ptqsim.ptq.calibration.folds.rotations.streams import Stream
from ptqsim.ptq.calibration.folds.uses import BATCH
from ptqsim.ptq.network.admission.given import no_autocast

ROWS: Final = 256
"""Rows of a norm's output, at most, that the error is taken of."""
RATE: Final = 0.01
"""First rate of Adam, which falls to zero by half a cosine."""

Problem = tuple[torch.Tensor, torch.Tensor]
"""Normalized inputs [rows, k C], and the weights [N, k C] that they are multiplied by."""


def improved(
    model: nn.Module, images: torch.Tensor, stream: Stream, matrix: torch.Tensor, steps: int, bits: int
) -> torch.Tensor:
    """A rotation of a stream with which its products, rounded, are nearer to those of the float network.

    The error is the mean over all norms of ||q(x Q) q(W Q)^T - x W^T||^2 / ||x W^T||^2.  q rounds inputs to asymmetric
    codes with one scale, and each row of weights to symmetric ones; both scales just cover the values, and the gradient
    of the rounding is one.  Q = Q0 (I + A/2)^-1 (I - A/2) is Cayley's transform of a skew A, along which SpinQuant (Liu
    et al., ICLR 2025, arXiv 2405.16406) takes its steps too, with A 1 = 0, so that Q 1 = 1 as for Q0.

    Parameters
    ----------
    model : nn.Module
        The float network, as it is before it is rotated.
    images : float tensor [N, C, H, W]
        Calibration images.
    stream : Stream
    matrix : float tensor [C, C]
        Q0, where the descent begins.
    steps, bits : int
        Steps of Adam, and the width of inputs and weights.

    Returns
    -------
    float tensor [C, C]
        That with the least error of all steps, which may be the first.
    """
    problems = _problems(model, images, stream)
    start = matrix.to(problems[0][0].device)
    free = torch.zeros_like(start, requires_grad=True)
    optimizer = torch.optim.Adam([free], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, least = start, float("inf")
    with torch.enable_grad(), no_autocast():
        for _ in range(steps + 1):
            found = start @ _cayley(free)
            error = torch.stack([_error(found, *problem, bits) for problem in problems]).mean()
            if float(error.detach()) < least:
                best, least = found.detach(), float(error.detach())
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            schedule.step()
    return _orthogonal(best.cpu())


def error(model: nn.Module, images: torch.Tensor, stream: Stream, matrix: torch.Tensor, bits: int) -> float:
    """The error that :func:`improved` lowers, of one matrix."""
    with torch.no_grad():
        problems = _problems(model, images, stream)
        return float(torch.stack([_error(matrix.to(x.device), x, w, bits) for x, w in problems]).mean())


def _cayley(free: torch.Tensor) -> torch.Tensor:
    """The orthogonal matrix of the skew part of a square one, without what moves the vector of ones."""
    skew = (free - free.T) / 2
    centered = skew - skew.mean(dim=0) - skew.mean(dim=1, keepdim=True) + skew.mean()
    half, one = centered / 2, torch.eye(len(free), dtype=free.dtype, device=free.device)
    found: torch.Tensor = torch.linalg.solve(one + half, one - half)
    return found


def _orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """The nearest orthogonal matrix: what rounding to float32 took is given back."""
    left, _, right = torch.linalg.svd(matrix.double())
    found: torch.Tensor = left @ right
    return found.float()


def _error(matrix: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, bits: int) -> torch.Tensor:
    size = len(matrix)
    given, rows = ((one.reshape(-1, size) @ matrix).reshape(one.shape) for one in (x, weight))
    low, high = given.amin(), given.amax()
    step = ((high - low) / (2**bits - 1)).clamp(min=1e-12)
    given = _rounded((given - low) / step) * step + low
    scale = (rows.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)).clamp(min=1e-12)
    exact = x @ weight.T
    off: torch.Tensor = given @ (_rounded(rows / scale) * scale).T - exact
    return off.square().sum() / exact.square().sum().clamp(min=1e-30)


def _rounded(x: torch.Tensor) -> torch.Tensor:
    return x + (x.round() - x).detach()


def _problems(model: nn.Module, images: torch.Tensor, stream: Stream) -> list[Problem]:
    """Normalized inputs of every norm of a stream, and the weights of its readers with its gain in them."""
    modules: dict[str, Any] = dict(model.named_modules())
    seen: dict[str, list[torch.Tensor]] = {norm.name: [] for norm in stream.norms}

    def hook(name: str) -> Any:
        return lambda _module, args: seen[name].append(args[0].detach().flatten(0, -2))

    with ExitStack() as stack, torch.no_grad(), no_autocast():
        for name in seen:
            stack.callback(modules[name].register_forward_pre_hook(hook(name)).remove)
        for batch in images.split(BATCH):
            model(batch)
        found = []
        for norm in stream.norms:
            module = modules[norm.name]
            inputs = _some(seen[norm.name])
            weights = torch.cat([modules[linear].weight.detach() for linear in norm.linears])
            found.append((F.layer_norm(inputs, module.normalized_shape, eps=module.eps), weights * module.weight))
    return found


def _some(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Rows of all parts, evenly spaced."""
    rows = torch.cat(list(parts))
    count = min(ROWS, len(rows))
    return rows[torch.arange(count, device=rows.device) * len(rows) // count]
