"""The specification of a unit in hardware: the integer unit of the simulator, and what only hardware has to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ptqsim import units
from ptqsim.common.validation import checked_integer, checked_type
from ptqsim.formats.log2 import Log2
from ptqsim.rtl.hardware.unit import Multiplier, checked_name
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.simulation.schedule import PATIENCE
from ptqsim.units.protocol import Unit

MAX_LANES: Final = 64
MAX_LENGTH: Final = 1 << 14
BUILT: Final = (
    units.Rescale, units.ResidualAdd, units.LayerNorm, units.Softmax, units.Shiftmax, units.IExpSoftmax,
    units.ITASoftmax, units.Activation, units.ShiftGELU, units.IGELU,
)  # fmt: skip
"""Units that have hardware."""


@dataclass(frozen=True, slots=True)
class UnitHardware:
    """Hardware of an integer unit: a stream of rows in, a stream of codes out.

    Parameters
    ----------
    unit : ptqsim.units.Unit
        A `Rescale`, `ResidualAdd`, `LayerNorm`, `Softmax`, `Shiftmax`, `IExpSoftmax`, `ITASoftmax`, `ShiftGELU`,
        `IGELU`, or an activation by table.
    lanes : int, optional
        Elements per beat, 1 to 64.
    length : int, optional
        Greatest length of a row that is kept in a buffer, 2 to 2**14; by default that of the unit. Units that keep no
        row ignore it.
    multiplier : Multiplier or str, optional
        Style of multipliers of two wires: a `Multiplier`, or its name.
    name : str, optional
        Prefix of every module.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If no hardware is generated for the unit or its output format, or a parameter is out of its range.
    """

    unit: Unit
    lanes: int = 1
    length: int | None = None
    multiplier: Multiplier | str = Multiplier.BEHAVIORAL
    name: str = "ptqsim"

    def __post_init__(self) -> None:
        put = object.__setattr__
        unit = checked_type("unit", self.unit, Unit)
        if not isinstance(unit, BUILT):
            listed = ", ".join(kind.__name__ for kind in BUILT)
            raise ValueError(f"no hardware is generated for {type(unit).__name__}; legal are {listed}")
        if isinstance(unit.out_format, Log2):
            raise ValueError(
                f"no hardware is generated for codes of {unit.out_format.short()}; legal are Uniform, TwinSoftmax and "
                "TwinGELU"
            )
        put(self, "lanes", checked_integer("lanes", self.lanes, 1, MAX_LANES))
        put(self, "multiplier", Multiplier.of(self.multiplier))
        checked_name(self.name)
        if self.length is not None:
            put(self, "length", checked_integer("length", self.length, 2, MAX_LENGTH))
        if self.keeps_rows and self.row_length > MAX_LENGTH:
            raise ValueError(
                f"a {type(unit).__name__} takes rows of up to {self.row_length} values, and a buffer holds "
                f"{MAX_LENGTH} at most; give a length"
            )
        if unit.channels is not None and self.length not in (None, unit.channels):
            raise ValueError(
                f"the unit has constants for {unit.channels} channels, got a length of {self.length}; leave it out"
            )
        if self.row_length > unit.longest:
            raise ValueError(
                f"the widths of the unit are proven for rows of up to {unit.longest}, got a length of {self.length}"
            )

    @property
    def keeps_rows(self) -> bool:
        """True if a row is buffered, as a code depends on all of it."""
        return not isinstance(self.unit, units.Rescale | units.ResidualAdd | units.Activation | units.IGELU)

    @property
    def counts_rows(self) -> bool:
        """True if the unit knows by itself where a row ends: it has constants for every channel."""
        return self.unit.channels is not None

    @property
    def row_length(self) -> int:
        """Greatest length of a row."""
        return self.length or self.unit.channels or self.unit.longest

    @property
    def beats(self) -> int:
        """Beats of the longest row."""
        return -(-self.row_length // self.lanes)

    @property
    def masked(self) -> bool:
        """True if a beat says which of its lanes count: rows of any length, several elements at a time."""
        return self.keeps_rows and not self.counts_rows and self.lanes > 1

    @property
    def patience(self) -> int:
        """Cycles per transfer after which the module is taken for dead: a row waits for its root or its division."""
        return 200 if self.keeps_rows else PATIENCE

    def module(self, spare: Mapping[str, int] | None = None) -> Module:
        """The module with valid and ready; `spare` has bits that named values have beyond those of their intervals."""
        return _builder(self.unit)(self, spare or {})

    def to_dict(self) -> dict[str, Any]:
        """The specification as plain data."""
        return {
            "unit": self.unit.to_dict(), "lanes": self.lanes, "length": self.length,
            "multiplier": str(self.multiplier), "name": self.name,
        }  # fmt: skip


def _builder(unit: Unit) -> Callable[[UnitHardware, Mapping[str, int]], Module]:
    """The function that writes the module of a unit; imported here, as each of them takes a `UnitHardware`."""
    from ptqsim.rtl.units import elementwise, layer_norm, shift_gelu, softmax

    if isinstance(unit, units.SoftmaxUnit):
        return softmax.softmax
    if isinstance(unit, units.LayerNorm):
        return layer_norm.layer_norm
    return shift_gelu.shift_gelu if isinstance(unit, units.ShiftGELU) else elementwise.elementwise
