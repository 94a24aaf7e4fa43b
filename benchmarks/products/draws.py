"""Operands as a network has them, or so large that an accumulator of a given width overflows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq
from benchmarks.products.shapes import Shape

ZERO_POINT: Final = 128
FLOATS: Final = {"e4m3": pq.E4M3, "e3m4": pq.E3M4, "e2m3": pq.E2M3, "e2m1": pq.E2M1}


@dataclass(frozen=True, slots=True)
class OperandKind:
    """A kind of operand.

    Parameters
    ----------
    kind : str
        "uniform" (weights, or activations after LayerNorm), "unsigned" (activations that are not negative, many of them
        clamped), "asymmetric" (unsigned codes with a zero point of `ZERO_POINT`), "softmax" or "gelu" (in their twin
        formats), or a small float of `FLOATS`.
    bits, shift : int, optional
        Of the format.
    """

    kind: str
    bits: int = 8
    shift: int = 0

    def quantized(self, reals: NDArray[np.float64]) -> pq.QuantizedArray:
        """The reals in this kind's format, whose scale covers the largest of them."""
        if self.kind in FLOATS:
            small = FLOATS[self.kind]
            return pq.quantize(reals, small.with_scale(float(np.abs(reals).max()) / small.real_max))
        peak = float(np.abs(reals).max()) / self.top
        match self.kind:
            case "softmax":
                return pq.quantize(reals, pq.TwinSoftmax(self.bits, self.shift))
            case "gelu":
                return pq.quantize(reals, pq.TwinGELU(self.bits, self.shift, peak / 2**self.shift))
            case "asymmetric":
                return pq.quantize(reals, pq.Uniform(self.bits, peak, signed=False, zero_point=ZERO_POINT))
            case "unsigned":
                return pq.quantize(reals, pq.Uniform(self.bits, peak, signed=False))
            case _:
                return pq.quantize(reals, pq.Uniform(self.bits, peak))

    def natural(self, rng: np.random.Generator, shape: tuple[int, ...]) -> pq.QuantizedArray:
        """Gaussians; their magnitudes up to 1/4; their GELU; or the softmax of rows of Gaussian logits."""
        reals = rng.normal(0.0, 1.0, shape)
        if self.kind == "unsigned":
            reals = np.minimum(np.abs(reals), 0.25)
        if self.kind == "softmax":
            weights = np.exp(2.0 * reals)
            reals = weights / weights.sum(axis=-1, keepdims=True)
        elif self.kind == "gelu":
            # The tanh form of GELU (Hendrycks and Gimpel, 2016).
            reals = 0.5 * reals * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (reals + 0.044715 * reals**3)))
        return self.quantized(reals)

    @property
    def top(self) -> int:
        """Greatest mantissa."""
        if self.kind == "asymmetric":
            return (1 << self.bits) - 1 - ZERO_POINT
        return (1 << self.bits) - 1 if self.kind == "unsigned" else (1 << (self.bits - 1)) - 1

    @property
    def peak(self) -> int:
        """Greatest aligned value."""
        if self.kind in FLOATS:
            return FLOATS[self.kind].aligned_max
        return self.top << self.shift

    def driven(
        self, rng: np.random.Generator, shape: tuple[int, ...], mean: float, signs: NDArray[np.float64]
    ) -> pq.QuantizedArray:
        """Values around `mean` times the greatest, spread so that few reach that, with the sign of their column."""
        share = np.clip(rng.normal(mean, min(mean, 1.0 - mean) / 4, shape), 0.0, 1.0)
        share.reshape(-1)[0] = 1.0  # the scale of the format follows from the greatest
        return self.quantized(share * signs)

    def __str__(self) -> str:
        if self.kind in FLOATS:
            return self.kind
        return f"{self.kind}{self.bits}" + (f"<<{self.shift}" if self.shift else "")


@dataclass(frozen=True, slots=True)
class Operands:
    """Both operands of a product.

    Parameters
    ----------
    left, right : OperandKind
        Their kinds.
    reach : int, optional
        Width of an accumulator that about half of the outputs overflow; None for the values of a network.
    """

    left: OperandKind
    right: OperandKind
    reach: int | None = None

    def level(self, depth: int) -> float:
        """Share of the largest possible sum at which an accumulator of `reach` bits ends."""
        return 0.0 if self.reach is None else 2.0 ** (self.reach - 1) / (depth * self.left.peak * self.right.peak)

    def possible(self, shape: Shape) -> bool:
        """True if codes of these formats can overflow such an accumulator at this depth by some margin."""
        return self.level(shape.depth) < 0.8

    def draw(self, shape: Shape, seed: int) -> tuple[pq.QuantizedArray, pq.QuantizedArray]:
        """Operands [batch, M, K] and [batch, K, N]; two dimensions where the batch is one."""
        rng = np.random.default_rng((seed, shape.batch, shape.rows, shape.depth, shape.columns))
        lead = () if shape.batch == 1 else (shape.batch,)
        of_left, of_right = (*lead, shape.rows, shape.depth), (*lead, shape.depth, shape.columns)
        if self.reach is None:
            return self.left.natural(rng, of_left), self.right.natural(rng, of_right)
        mean = math.sqrt(self.level(shape.depth))
        alternating = np.where(np.arange(shape.columns) % 2, -1.0, 1.0)
        if self.left.kind == "softmax":  # its scale is given, and its greatest value is not 1
            top = self.left.peak * pq.TwinSoftmax(self.left.bits, self.left.shift).scale
            return (
                self.left.driven(rng, of_left, mean, np.full(shape.depth, top)),
                self.right.driven(rng, of_right, mean, alternating),
            )
        return (
            self.left.driven(rng, of_left, mean, np.ones(shape.depth)),
            self.right.driven(rng, of_right, mean, alternating),
        )

    def __str__(self) -> str:
        return f"{self.left} x {self.right}"
