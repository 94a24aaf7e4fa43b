"""Activations by a table: a pre-activation code is the index of the code of the next operand."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.validation import checked_type
from ptqsim.formats.base import NumberFormat
from ptqsim.kernels.units import elementwise
from ptqsim.kernels.units import vectors as vector_kernels
from ptqsim.units import exact_functions, target, vectors
from ptqsim.units.activation_units.pre_activation import PreActivation
from ptqsim.units.constants import checked_integers
from ptqsim.units.interval import Interval, of_values
from ptqsim.units.protocol import Trace, run_rows
from ptqsim.units.reference import activation as reference
from ptqsim.units.reference.target import encoded
from ptqsim.units.rescale import Rescale, index_of

MAX_INDEX_BITS = 12


@dataclass(frozen=True)
class Activation(PreActivation):
    """A function of one real variable as a table; `GELU`, `SiLU`, `QuickGELU` and `ReLU` name the function.

    Parameters
    ----------
    out_format : NumberFormat
        Format of the entries.
    rescale : Rescale
        The way from an accumulator to the pre-activation code, which is the index; codes of up to 12 bits.
    table : sequence of int
        One code of `out_format` for every pre-activation code.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If the table has not one entry for every pre-activation code, or an entry is no code of `out_format`.
    """

    source: ClassVar[str] = "exact by construction: the quantized function of the quantized value"

    table: tuple[int, ...]

    # Written out, because it takes more types than the fields have.
    def __init__(self, out_format: NumberFormat, rescale: Rescale, table: Sequence[int]) -> None:
        object.__setattr__(self, "out_format", target.checked_target(out_format))
        object.__setattr__(self, "rescale", checked_type("rescale", rescale, Rescale))
        object.__setattr__(self, "table", checked_integers("table", table, 0, self.out_format.code_count - 1))
        index = checked_index(self.rescale.out_format)
        if len(self.table) != index.code_count:
            raise ValueError(
                f"a table of {len(self.table)} entries cannot follow {index.short()}, which has {index.code_count} "
                "codes; give one entry for every code, or another pre-activation format"
            )

    @staticmethod
    @abstractmethod
    def function(x: Fraction) -> Fraction:
        """The real function, to 40 digits."""

    @classmethod
    def from_real(
        cls,
        in_scale: ArrayLike,
        index_format: NumberFormat,
        out_format: NumberFormat,
        bias: ArrayLike = 0.0,
        acc_bits: int = 32,
        multiplier_bits: int = 16,
    ) -> Self:
        """The unit nearest to real parameters.

        Parameters
        ----------
        in_scale : float or array of shape (C,)
            Real value of one unit of acc, for the tensor or for every channel.
        index_format : NumberFormat
            Format of the pre-activation, of up to 12 bits: `Uniform`, or `TwinGELU` for a scale of each sign.
        out_format : NumberFormat
            As for the unit.
        bias : float or array of shape (C,), optional
            Real bias; it becomes the nearest integer on the grid of acc.
        acc_bits, multiplier_bits : int, optional
            As for `Rescale.from_real`.
        """
        index_format, out_format = checked_index(index_format), target.checked_target(out_format)
        rescale = Rescale.from_real(in_scale, index_format, bias, acc_bits, multiplier_bits)
        return cls(out_format, rescale, table_of(cls, index_format, out_format))

    def widths(self) -> dict[str, Interval]:
        """The integers that every named value can be."""
        found = self.rescale.widths()
        index = found.pop("code")
        return found | {"index": index, "code": of_values(self.table)}

    def _trace(self, *rows: Sequence[int]) -> Trace:
        return reference.trace(self, rows[0])

    def _vector(self, n: int) -> vectors.Vector | None:
        found = self.rescale.numerators(n)
        index = None if found is None else index_of(self.rescale.out_format, found[2])
        if found is None or index is None:
            return None
        table = np.array(self.table, self.out_format.code_dtype)[index.codes][None]
        return vectors.Vector(vector_kernels.look_up, (*found[:2], index.limits, table))

    def _run(self, rows: tuple[NDArray[np.int64], ...], codes: NDArray[Any]) -> None:
        table = self._constant("table", self.table, len(self.table))
        constants = self.rescale.kernel_constants(codes.shape[1])
        run_rows(elementwise.look_up, rows[0], rows[0], *constants, table, codes)


@dataclass(frozen=True, init=False)
class GELU(Activation):
    """`Activation` of x Phi(x), the GELU without approximation."""

    kind: ClassVar[str] = "gelu"

    @staticmethod
    def function(x: Fraction) -> Fraction:
        """The real function, to 40 digits."""
        return exact_functions.gelu(x)


@dataclass(frozen=True, init=False)
class SiLU(Activation):
    """`Activation` of x sigmoid(x)."""

    kind: ClassVar[str] = "silu"

    @staticmethod
    def function(x: Fraction) -> Fraction:
        """The real function, to 40 digits."""
        return exact_functions.silu(x)


@dataclass(frozen=True, init=False)
class QuickGELU(Activation):
    """`Activation` of x sigmoid(1.702 x)."""

    kind: ClassVar[str] = "quick_gelu"

    @staticmethod
    def function(x: Fraction) -> Fraction:
        """The real function, to 40 digits."""
        return exact_functions.quick_gelu(x)


@dataclass(frozen=True, init=False)
class ReLU(Activation):
    """`Activation` of max(x, 0)."""

    kind: ClassVar[str] = "relu"

    @staticmethod
    def function(x: Fraction) -> Fraction:
        """The real function, to 40 digits."""
        return exact_functions.relu(x)


def checked_index(index_format: object) -> NumberFormat:
    """A pre-activation format of up to 12 bits."""
    given = target.checked_target(index_format)
    if given.storage_bits > MAX_INDEX_BITS or not given.shift_alignable:
        raise ValueError(
            f"a table has one entry for every pre-activation code, and {given.short()} has {given.code_count}; give "
            f"a format on one grid of up to {MAX_INDEX_BITS} bits"
        )
    return given


@lru_cache(maxsize=256)
def table_of(activation: type[Activation], index_format: NumberFormat, out_format: NumberFormat) -> tuple[int, ...]:
    """Codes of the function of the real value of every pre-activation code, a half rounded up."""
    step, out_step = Fraction(index_format.scale), Fraction(target.unit_scale(out_format))
    entries = []
    for aligned in index_format.aligned_table().tolist():
        quotient = activation.function(aligned * step) / out_step
        entries.append(encoded(quotient.numerator, quotient.denominator, out_format, doubled=True).code)
    return tuple(entries)
