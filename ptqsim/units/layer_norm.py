"""LayerNorm in integers: exact sums, a reciprocal root of stated precision, and one rounding to the code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.validation import checked_integer, checked_scale
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.uniform import Uniform
from ptqsim.kernels.units import layer_norm as kernels
from ptqsim.kernels.units import row_vectors
from ptqsim.units import target, vectors
from ptqsim.units.constants import checked_integers, nearest, one_channel_count, reals
from ptqsim.units.interval import Interval, check_words, of_values, signed_interval
from ptqsim.units.protocol import Input, Trace, Unit, checked_input_bits, run_rows
from ptqsim.units.reference import layer_norm as reference
from ptqsim.units.reference.layer_norm import RootMethod, newton_steps

MAX_FEATURES = 1 << 14
_TOP = (1 << 48) - 1


@dataclass(frozen=True)
class LayerNorm(Unit):
    """LayerNorm over the last axis, with gain and offset, to the codes of any format.

    Parameters
    ----------
    out_format : NumberFormat
        `Uniform`, `TwinSoftmax`, `TwinGELU` or `Log2`.
    gain : sequence of int
        gamma / (step of `out_format`) in units of ``2**-gain_fraction``, one or one per feature.
    offset : sequence of int
        beta / (step of `out_format`) in units of ``2**-(fraction + gain_fraction)``, one or one per feature.
    epsilon : int
        N**2 eps / (scale of x)**2, 0 or more.
    features : int
        Length N of a row, 2 to 16384.
    x_bits : int, optional
        Signed width of x, 2 to 48.
    precision : int, optional
        Bits p of the root, 4 to 28: 1 / sqrt(V) is off by less than 2**-(p - 1), relatively.
    fraction, gain_fraction : int, optional
        Fraction bits of the normalized value, 0 to 30, and of the gain; their sum is 0 to 62.
    root : RootMethod or str, optional
        ``newton`` or ``bits``; both give the same integer.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is out of its range, the numbers of features differ, or a value needs more than 63 bits.
    """

    kind: ClassVar[str] = "layer_norm"
    source: ClassVar[str] = "Ba et al., 2016, Eq. 4, in exact integers; Newton's iteration as I-BERT, Algorithm 4"

    out_format: NumberFormat
    gain: tuple[int, ...]
    offset: tuple[int, ...]
    epsilon: int
    features: int
    x_bits: int = 16
    precision: int = 16
    fraction: int = 12
    gain_fraction: int = 8
    root: RootMethod = RootMethod.NEWTON

    # Written out, because it takes more types than the fields have.
    def __init__(
        self,
        out_format: NumberFormat,
        gain: Sequence[int],
        offset: Sequence[int],
        epsilon: int,
        features: int,
        x_bits: int = 16,
        precision: int = 16,
        fraction: int = 12,
        gain_fraction: int = 8,
        root: RootMethod | str = RootMethod.NEWTON,
    ) -> None:
        put = object.__setattr__
        put(self, "out_format", target.checked_target(out_format))
        put(self, "gain", checked_integers("gain", gain, -_TOP, _TOP))
        put(self, "offset", checked_integers("offset", offset, -_TOP, _TOP))
        put(self, "epsilon", checked_integer("epsilon", epsilon, 0, (1 << 60) - 1))
        put(self, "features", checked_integer("features", features, 2, MAX_FEATURES))
        put(self, "x_bits", checked_input_bits("x_bits", x_bits))
        put(self, "precision", checked_integer("precision", precision, 4, 28))
        put(self, "fraction", checked_integer("fraction", fraction, 0, 30))
        put(self, "gain_fraction", checked_integer("gain_fraction", gain_fraction, -self.fraction, 62 - self.fraction))
        put(self, "root", RootMethod.of(root))
        one_channel_count("a LayerNorm", gain=len(self.gain), offset=len(self.offset), features=self.features)
        check_words("a LayerNorm", self.widths(), "take fewer bits of x, precision, fraction or gain")

    @classmethod
    def from_real(
        cls,
        gamma: ArrayLike,
        beta: ArrayLike,
        eps: float,
        in_scale: float,
        out_format: NumberFormat,
        features: int | None = None,
        x_bits: int = 16,
        precision: int = 16,
        fraction: int = 12,
        gain_bits: int = 16,
        root: RootMethod | str = RootMethod.NEWTON,
    ) -> LayerNorm:
        """The unit nearest to real parameters.

        Parameters
        ----------
        gamma, beta : float or array of shape (N,)
            Gain and offset; 1 and 0 if they are folded into the next weight.
        eps : float
            Added to the variance; 0 or more.
        in_scale : float
            Real value of one unit of x.
        out_format : NumberFormat
            As for the unit.
        features : int, optional
            Length of a row; by default that of gamma or beta.
        x_bits, precision, fraction : int, optional
            As for the unit.
        gain_bits : int, optional
            Signed bits of the largest gain, 2 to 32. The fraction of the gain follows.
        root : RootMethod or str, optional
            As for the unit.
        """
        out_format = target.checked_target(out_format)
        step = Fraction(target.unit_scale(out_format))
        gains = [Fraction(value) / step for value in reals("gamma", gamma)]
        offsets = [Fraction(value) / step for value in reals("beta", beta)]
        count = max(len(gains), len(offsets)) if features is None else checked_integer("features", features, 2, 1 << 14)
        if count == 1:
            raise ValueError("gamma and beta are single numbers, so the length of a row is not known; give features")
        fraction = checked_integer("fraction", fraction, 0, 30)
        limit = 1 << (checked_integer("gain_bits", gain_bits, 2, 32) - 1)
        if not any(gains):
            raise ValueError("gamma is zero for every feature, so that the output is beta alone; give another gamma")
        gain_fraction = min(24, 62 - fraction)
        while max(abs(nearest(_scaled(gain, gain_fraction))) for gain in gains) >= limit:
            gain_fraction -= 1
        if gain_fraction < -fraction:
            raise ValueError(
                f"gamma of up to {float(max(map(abs, gains)) * step):.6g} does not fit {gain_bits} bits at the step "
                f"{float(step):.6g} of out_format; give a greater step or gain_bits"
            )
        given: object = eps
        if isinstance(given, bool) or not (eps == 0 or checked_scale(eps, "eps")):
            raise ValueError(f"eps must be 0 or more, got {eps!r}")
        unit = Fraction(checked_scale(in_scale, "in_scale"))
        epsilon = nearest(count * count * Fraction(eps) / (unit * unit))
        if epsilon >= 1 << 60:
            raise ValueError(
                f"eps {eps!r} is {float(Fraction(eps) / unit**2):.3g} squared steps of x, beyond the words of the "
                "unit; give a greater in_scale"
            )
        return cls(
            out_format,
            [nearest(_scaled(gain, gain_fraction)) for gain in gains],
            [nearest(_scaled(offset, fraction + gain_fraction)) for offset in offsets],
            epsilon,
            count,
            x_bits,
            precision,
            fraction,
            gain_fraction,
            root,
        )

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The residual stream."""
        return (Input("x", self.x_bits),)

    @property
    def channels(self) -> int:
        """Length of a row, N."""
        return self.features

    @property
    def newton_steps(self) -> int:
        """Number of steps of the iteration for the root, proven to be enough for every input."""
        return newton_steps(self.precision)

    def widths(self) -> dict[str, Interval]:
        """The integers that every named value can be; docs/units/layer_norm.md has the proofs."""
        n, p = self.features, self.precision
        x = signed_interval(self.x_bits)
        spread_of_x = x.highest - x.lowest
        squares = Interval(0, n * x.lowest**2)
        # Half of the features at each end of the range: N sum x**2 - (sum x)**2 = sum over pairs of (x_i - x_j)**2.
        variance = Interval(1, max(1, (n // 2) * (n - n // 2) * spread_of_x**2 + self.epsilon))
        exponents = [spare - spare % 2 for spare in (2 * p - bits for bits in (1, variance.highest.bit_length()))]
        exponent = Interval(min(exponents), max(exponents))
        shift = Interval(*(2 * p - 1 - e // 2 - self.fraction for e in (exponent.highest, exponent.lowest)))
        reciprocal = Interval(1 << (p - 1), 1 << p)
        farthest = (n - 1) * spread_of_x
        centered = Interval(-farthest, farthest)
        # Samuelson's inequality, |N x - S| <= sqrt((N - 1) V), and the error of the reciprocal root.
        reach = isqrt(((n - 1) * ((1 << (p - 1)) + 1) ** 2 << 2 * self.fraction) >> (2 * p - 2)) + 1
        normalized = Interval(-reach, reach)
        product = normalized * of_values(self.gain)
        scaled = product + of_values(self.offset)
        newton = {"iterate": Interval(1 << (p - 1), 1 << p)} if self.root == RootMethod.NEWTON else {}
        return {
            "total": Interval(n * x.lowest, n * x.highest),
            "squares": squares,
            "scaled_squares": Interval(0, n * squares.highest),
            "squared_total": Interval(0, (n * x.lowest) ** 2),
            "variance": variance,
            "exponent": exponent,
            "radicand": Interval(1 << (2 * p - 2), (1 << 2 * p) - 1),
            **newton,
            "root": Interval(1 << (p - 1), (1 << p) - 1),
            "reciprocal": reciprocal,
            "shift": shift,
            "centered": centered,
            "weighted": centered * reciprocal,
            "normalized": normalized,
            "product": product,
            "scaled": scaled,
            **target.widths_of_shift(scaled, self.fraction + self.gain_fraction, self.out_format),
        }

    def _trace(self, *rows: Sequence[int]) -> Trace:
        return reference.trace(self, rows[0])

    def _vector(self, n: int) -> vectors.Vector | None:
        if not isinstance(self.out_format, Uniform):
            return None
        shift = self.fraction + self.gain_fraction
        gain = vectors.row_of(self.gain, n)
        addend = vectors.row_of([one + vectors.half_of(shift) for one in self.offset], n)
        if gain is None or addend is None:
            return None
        root = np.array([[self.epsilon, self.precision, self.fraction]], np.int64)
        limits = vectors.limits_of(self.out_format, shift)
        return vectors.Vector(row_vectors.layer_norm, (gain, addend, limits, root), coded=1)

    def _run(self, rows: tuple[NDArray[np.int64], ...], codes: NDArray[Any]) -> None:
        n = self.features
        constants = [self._constant(name, getattr(self, name), n) for name in ("gain", "offset")]
        shift = self._constant("shift", (self.fraction + self.gain_fraction,), n)
        run_rows(
            kernels.layer_norm,
            rows[0],
            rows[0],
            *constants,
            shift,
            self.epsilon,
            self.precision,
            self.fraction,
            target.kernel_constants(self.out_format),
            codes,
        )


def _scaled(value: Fraction, shift: int) -> Fraction:
    return value * Fraction(2) ** shift
