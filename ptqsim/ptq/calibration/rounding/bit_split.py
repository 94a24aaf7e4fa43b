"""Bit splitting and stitching: weight codes that reconstruct a layer's output (Wang et al., ICML 2020).

A code of k bits is split into k - 1 ternary digits, Q = sum over m of 2**m q_m with q_m in {-1, 0, 1}; one digit at a
time, and of it one row at a time, is set to its best value in closed form while everything else stays; the digits are
then stitched together again.  The scale is refitted in closed form before every sweep.

What is minimized, per group of weights with one scale,

    ||O - A_hat s Q||^2 + lambda ||W - s Q||^2,

depends on the data only through H = A_hat^T A_hat + lambda I and R = A_hat^T O + lambda W, so that its cost does not
grow with the number of images.  A_hat being the quantized input and O the exact output, the weights make up for the
errors of the activations (the paper's error compensation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ptqsim.kernels.calibration import ternary

Scale = float | NDArray[np.float64]
_TINY: Final = torch.finfo(torch.float32).tiny
_BLOCK: Final = 64  # rows whose products with H are brought up to date at once


@dataclass(frozen=True)
class Reconstruction:
    """The quadratic that the codes minimize, for one group.

    Attributes
    ----------
    gram : float64 tensor [K, K]
        H.
    target : float64 tensor [K, N]
        R.
    """

    gram: torch.Tensor
    target: torch.Tensor

    def loss(self, codes: torch.Tensor, scale: float) -> float:
        """s^2 tr(Q^T H Q) - 2 s tr(Q^T R): the objective without the part that no code changes."""
        return float(scale**2 * (codes * (self.gram @ codes)).sum() - 2 * scale * (codes * self.target).sum())

    def best_scale(self, codes: torch.Tensor) -> float:
        """The minimizing scale of given codes; zero for codes of zeros only."""
        square = float((codes * (self.gram @ codes)).sum())
        return float((codes * self.target).sum()) / square if square > 0 else 0.0

    def best_scales(self, codes: torch.Tensor) -> NDArray[np.float64]:
        """The minimizing scale of every column, rounded to float32; zero for codes of zeros only."""
        square, along = (codes * (self.gram @ codes)).sum(dim=0), (codes * self.target).sum(dim=0)
        scales: NDArray[np.float64] = torch.where(square > 0, along / square, 0.0).float().double().numpy()
        return scales


def reconstruction(a_hat: torch.Tensor, out: torch.Tensor, weight: torch.Tensor, damping: float) -> Reconstruction:
    """H and R of one group.

    Parameters
    ----------
    a_hat : float tensor [rows, K]
        Quantized input.
    out : float tensor [rows, N]
        Exact output.
    weight : float tensor [K, N]
    damping : float
        lambda in multiples of the mean of H's diagonal.  It keeps the weights where few images say nothing of them.
    """
    a, o, w = a_hat.double(), out.double(), weight.double()
    gram = a.T @ a
    ridge = damping * float(gram.diagonal().mean())
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return Reconstruction(gram + ridge * eye, a.T @ o + ridge * w)


def split_digits(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """Ternary digits of codes in -(2**(bits-1) - 1) .. 2**(bits-1) - 1, lowest first: [bits - 1, ...]."""
    magnitude, sign = codes.abs().long(), codes.sign()
    return torch.stack([((magnitude >> m) & 1) * sign for m in range(bits - 1)])


def stitch(digits: torch.Tensor) -> torch.Tensor:
    """The codes of ternary digits: sum of 2**m q_m."""
    steps = 2.0 ** torch.arange(len(digits), device=digits.device, dtype=digits.dtype)
    codes: torch.Tensor = torch.tensordot(steps, digits, dims=1)
    return codes


def bit_split(
    problem: Reconstruction, codes: torch.Tensor, scale: Scale, bits: int, epochs: int
) -> tuple[torch.Tensor, Scale]:
    """Codes and scale that reconstruct the output better than the given ones.

    Parameters
    ----------
    problem : Reconstruction
    codes : float64 tensor [K, N]
        Integers to begin with; those of magnitude 2**(bits-1) are clamped, as digits are symmetric.
    scale : float or float64 array [N]
        One for all codes, or one for each column.
    bits : int
    epochs : int
        Sweeps over all digits at most; it ends when one changes nothing.

    Returns
    -------
    codes : float64 tensor [K, N]
    scale : float or float64 array [N]
        Rounded to float32, as every scale is.
    """
    device, problem = codes.device, Reconstruction(problem.gram.cpu(), problem.target.cpu())
    top = 2.0 ** (bits - 1) - 1
    digits = split_digits(codes.cpu().clamp(-top, top), bits).contiguous()
    q = stitch(digits)
    units: tuple[Reconstruction, float]
    for _ in range(epochs):
        if isinstance(scale, np.ndarray):
            each = problem.best_scales(q)
            scale = np.where((each >= _TINY) & (each < math.inf), each, scale)
            # In units of its scale a column is a problem with the scale 1.
            units = Reconstruction(problem.gram, problem.target / torch.from_numpy(scale)), 1.0
        else:
            refitted = _float32(problem.best_scale(q))
            if _TINY <= refitted < math.inf:  # else no scale of that sign fits: keep the one there is
                scale = refitted
            units = problem, scale
        before = q.clone()
        for m in reversed(range(bits - 1)):
            _sweep(units[0], digits[m], q, units[1], 2.0**m)
        if torch.equal(q, before):
            break
    return q.to(device), scale


def _sweep(problem: Reconstruction, digit: torch.Tensor, q: torch.Tensor, scale: float, step: float) -> None:
    """Set every row of one digit, and q with it, to the best of -1, 0 and 1, the rows before it already being new."""
    for start in range(0, len(q), _BLOCK):
        block = slice(start, start + _BLOCK)
        slope = problem.gram[block] @ q  # H Q of these rows
        gram = problem.gram[block, block].contiguous()
        target = problem.target[block].contiguous()
        written = digit[block].numpy(), q[block].numpy()
        ternary.settle(0, q.shape[1], gram.numpy(), target.numpy(), slope.numpy(), scale, step, *written)


def _float32(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float32))
