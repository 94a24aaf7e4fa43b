"""Golden vectors of a unit: rows of inputs, and every named value by the reference in Python integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.progress import Progress, silent
from ptqsim.common.validation import checked_type
from ptqsim.formats.arrays.immutable import Constructed, sealed
from ptqsim.golden.layout import HexColumn
from ptqsim.units import Unit

_AT_ONCE = 16


@dataclass(frozen=True, slots=True, eq=False)
class UnitVectors(Constructed):
    """Integers in, codes out, and every value between them.

    Parameters
    ----------
    unit : Unit
        The unit.
    inputs : tuple of int64 array
        [R, n] each, as `Unit.inputs` names them; read-only.
    values : dict of str to int64 array
        Every named value in the order of computation, [R] where a row has one and [R, n] where an element has one;
        the last is ``code``. Read-only.
    """

    unit: Unit
    inputs: tuple[NDArray[np.int64], ...]
    values: dict[str, NDArray[np.int64]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(map(sealed, self.inputs)))
        object.__setattr__(self, "values", {name: sealed(array) for name, array in self.values.items()})

    def words(self) -> list[HexColumn]:
        """Every quantity as it stands in a hex file and a C array: the inputs, then the values."""
        given = [
            _column(one.name, one.bits, True, array) for one, array in zip(self.unit.inputs, self.inputs, strict=True)
        ]
        widths, bits = self.unit.widths(), self.unit.out_format.storage_bits
        return given + [
            _column(name, bits if name == "code" else widths[name].bits, widths[name].signed, array)
            for name, array in self.values.items()
        ]


def _column(name: str, bits: int, signed: bool, array: NDArray[Any]) -> HexColumn:
    size = next(size for size in (8, 16, 32, 64) if bits <= size)
    c_type = f"{'' if signed else 'u'}int{size}_t"
    return HexColumn(name, f"{name}.hex", bits, c_type, array.shape, signed, array.ravel().tolist())


def compute_unit(unit: Unit, *inputs: ArrayLike, progress: Progress = silent) -> UnitVectors:
    """Golden vectors of a unit: from its reference, and compared with its kernel.

    Parameters
    ----------
    unit : Unit
        The unit.
    *inputs : array_like of integers, shape (..., n)
        As for a call of the unit.
    progress : Progress, optional
        Called with the rows done and all rows.

    Raises
    ------
    TypeError, ValueError
        Where a call of the unit refuses the inputs, or there are no rows.
    RuntimeError
        If reference and kernel disagree: a defect of ptqsim.
    """
    checked_type("unit", unit, Unit)
    codes = unit(*inputs)
    arrays = [np.asarray(one, np.int64) for one in inputs]
    rows = tuple(one.reshape(-1, one.shape[-1]) for one in arrays)
    if not rows[0].size:
        raise ValueError(f"inputs of shape {arrays[0].shape} have no rows: give at least one row of one value")
    parts = []
    for start in range(0, len(rows[0]), _AT_ONCE):
        parts.append(unit.trace(*(one[start : start + _AT_ONCE] for one in rows)))
        progress(min(start + _AT_ONCE, len(rows[0])), len(rows[0]))
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if not np.array_equal(values["code"], codes.reshape(values["code"].shape)):
        where = np.argwhere(values["code"] != codes.reshape(values["code"].shape))[0].tolist()
        raise RuntimeError(f"reference and kernel of {unit.kind} differ at row and column {where}: report this defect")
    return UnitVectors(unit, rows, values)
