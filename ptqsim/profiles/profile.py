"""A profile: the operands that it takes, the accumulator, and the requantization behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.validation import checked_type
from ptqsim.datapath.spec import Accumulator
from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.arrays.immutable import Constructed
from ptqsim.formats.base import Codes, NumberFormat
from ptqsim.formats.uniform import Uniform
from ptqsim.gemm.exact import wrapped
from ptqsim.gemm.multiply import matmul
from ptqsim.gemm.results.result import MatmulResult
from ptqsim.profiles.requantization import Requantization


@dataclass(frozen=True, slots=True)
class Operand(Constructed):
    """The uniform codes that one operand, or the output, may have.

    Parameters
    ----------
    bits : int
        Greatest width of a code; narrower ones are extended.
    signed : bool or None
        Whether codes are two's complement; None for either.
    zero_point : bool, optional
        Whether the zero point may be other than 0.
    channels : bool, optional
        Whether there may be a scale for each channel.
    """

    bits: int
    signed: bool | None
    zero_point: bool = False
    channels: bool = False

    def takes(self, number_format: NumberFormat) -> bool:
        """True if codes of this format are legal."""
        return (
            isinstance(number_format, Uniform)
            and number_format.bits <= self.bits
            and self.signed in (None, number_format.signed)
            and (self.zero_point or number_format.zero_point == 0)
            and (self.channels or number_format.axis is None)
        )

    def __str__(self) -> str:
        kind = {True: "signed ", False: "unsigned ", None: ""}[self.signed]
        zero = "any zero point" if self.zero_point else "zero point 0"
        scale = "a scale per tensor or channel" if self.channels else "one scale"
        return f"{kind}uniform codes of up to {self.bits} bits, {zero}, {scale}"

    @property
    def example(self) -> str:
        """A format that is legal, as it is written."""
        return f"pq.Uniform({self.bits}, scale, signed={self.signed is not False})"


@dataclass(frozen=True, slots=True)
class Profile(Constructed):
    """The integer arithmetic of a processor or a library.

    Parameters
    ----------
    name : str
        Its name, as the command line takes it.
    a, b : Operand
        Left and right operands that it takes.
    accumulator : Accumulator
        The datapath that gives its bits.
    source : str
        Instructions, or files of source code, that it is taken from.
    out : Operand, optional
        Output codes, if it requantizes.
    requantization : Requantization, optional
        From accumulators to these.
    """

    name: str
    a: Operand
    b: Operand
    accumulator: Accumulator
    source: str
    out: Operand | None = None
    requantization: Requantization | None = None

    def check(self, a_format: NumberFormat, b_format: NumberFormat) -> None:
        """Refuse formats that the profile does not take.

        Raises
        ------
        ValueError
            If it does not; the message says what it takes.
        """
        for side, legal, given in (("a", self.a, a_format), ("b", self.b, b_format)):
            if not legal.takes(given):
                raise ValueError(f"{self.name} takes {legal} as {side}, got {given}; try {legal.example}")

    def matmul(self, a: QuantizedArray, b: QuantizedArray, statistics: bool = True) -> MatmulResult:
        """The matrix product as this profile computes it: `ptqsim.matmul` on its accumulator.

        Parameters
        ----------
        a, b : QuantizedArray
            [..., M, K] and [..., K, N], in formats that the profile takes.
        statistics : bool, optional
            Whether to report overflow events.

        Raises
        ------
        TypeError
            If an operand is no `QuantizedArray`.
        ValueError
            If the profile does not take a format, or as for `ptqsim.matmul`.
        """
        for name, array in (("a", a), ("b", b)):
            checked_type(name, array, QuantizedArray, "give the codes with their format")
        self.check(a.format, b.format)
        return matmul(a, b, self.accumulator, statistics)

    def requantize(
        self,
        acc: ArrayLike,
        a_format: NumberFormat,
        b_format: NumberFormat,
        out_format: NumberFormat,
        bias: ArrayLike | None = None,
    ) -> Codes:
        """Output codes of accumulators.

        Parameters
        ----------
        acc : array_like
            Integers [..., M, N], such as ``matmul(a, b).acc``.
        a_format, b_format : NumberFormat
            Formats of the operands, for their scales.
        out_format : NumberFormat
            Format of the codes, Uniform.
        bias : array_like, optional
            Integers on the grid of `acc`, added in the register, which may overflow; broadcast against `acc`.

        Returns
        -------
        array
            Codes in the shape of `acc`, clamped to the format.

        Raises
        ------
        ValueError
            If the profile has no requantization, does not take a format, or a value leaves what it works in.
        """
        if self.requantization is None or self.out is None:
            raise ValueError(
                f"{self.name} describes products alone and has no requantization; take ptqsim.requantize, or the "
                "profile of a library"
            )
        self.check(a_format, b_format)
        if not isinstance(out_format, Uniform) or not self.out.takes(out_format):
            raise ValueError(f"{self.name} gives {self.out}, got {out_format}; try {self.out.example}")
        values: NDArray[np.int64] = np.asarray(acc, np.int64)
        if bias is not None:
            values = wrapped(values + np.asarray(bias, np.int64), self.accumulator.bits)
        factor = self.requantization.factor(_steps(a_format), _steps(b_format), out_format.steps)
        aligned = self.requantization.apply(values, factor)
        clamped = np.clip(aligned, out_format.aligned_min, out_format.aligned_max) + out_format.zero_point
        dtype: Any = out_format.code_dtype
        return np.asarray(clamped & (out_format.code_count - 1), dtype)


def _steps(number_format: NumberFormat) -> Any:
    return number_format.steps
