"""The integer units whose gates are counted, without the memory of their rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from ptqsim import units
from ptqsim.rtl.hardware.unit import Multiplier
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.units.hardware import UnitHardware
from ptqsim.rtl.units.standard import FORMULATIONS, standard_unit
from ptqsim.units.errors_of_units.comparison import Setting

CODE_BITS: Final = (4, 6, 8)
"""Widths k of the codes that are kept."""


@dataclass(frozen=True, slots=True)
class UnitPoint:
    """One integer unit.

    Parameters
    ----------
    unit, formulation : str
        As for `ptqsim.rtl.units.standard.standard_unit`.
    bits : int, optional
        Width k of the codes; a softmax has the alignment exponent k - 2.
    lanes : int, optional
        Elements per cycle.
    reciprocal : int, optional
        Bits of the reciprocal of a softmax; 0 for an exact division.
    entries, table_bits : int, optional
        Table of the softmax in base 2.
    residual_bits, precision : int, optional
        Width of the residual stream, and bits of the root of LayerNorm.
    multiplier : Multiplier or str, optional
        Style of multipliers of two wires.
    """

    unit: str
    formulation: str
    bits: int = 8
    lanes: int = 1
    reciprocal: int = 0
    entries: int = 64
    table_bits: int = 15
    residual_bits: int = 16
    precision: int = 16
    multiplier: Multiplier | str = Multiplier.BAUGH_WOOLEY

    @property
    def setting(self) -> Setting:
        """Its widths: scores and accumulators of 18 bits, rows of 197 scores and 192 features."""
        return Setting(
            self.bits, self.bits - 2, entries=self.entries, table_bits=self.table_bits,
            residual_bits=self.residual_bits, precision=self.precision,
        )  # fmt: skip

    def module(self) -> Module:
        """The unit, of whose row buffer one word is left: a row is kept in a memory, which is no matter of gates."""
        division = units.Division("reciprocal", self.reciprocal) if self.reciprocal else None
        unit = standard_unit(self.unit, self.formulation, self.setting, division)
        if isinstance(unit, units.LayerNorm):  # gain and offset are part of the next weights, so that there is no table
            unit = replace(unit, gain=unit.gain[:1], offset=unit.offset[:1])
        length = self.setting.length if self.formulation == "shift_gelu" else None
        name = f"{self.unit}_{self.formulation}"
        return without_memory(UnitHardware(unit, self.lanes, length, self.multiplier, name).module())


def without_memory(module: Module) -> Module:
    """The module with row buffers of one word."""
    parts = tuple(map(without_memory, module.parts))
    if not module.name.endswith("_row"):
        return replace(module, parts=parts)
    declared = next(line for line in module.body.split("\n") if " row [0:" in line)
    body = module.body.replace(declared, declared.partition(" row [0:")[0] + " row;")
    return replace(module, body=body.replace("row[filled]", "row").replace("row[place]", "row"))


def kept_units() -> list[UnitPoint]:
    """The units kept with the package.

    They are every formulation at every k, and at k = 8 softmaxes by a reciprocal, tables of other sizes, roots of other
    precisions, a narrower residual stream, and several lanes.
    """
    every = [UnitPoint(what, one, k) for what, names in FORMULATIONS.items() for one in names for k in CODE_BITS]
    every = [point for point in every if point.unit != "residual" and point.formulation != "channel"]
    # ShiftGELU takes no pre-activation of 4 bits, whose steps are above 1.
    every = [point for point in every if (point.formulation, point.bits) != ("shift_gelu", 4)]
    softmaxes = FORMULATIONS["softmax"]
    return [
        *every,
        *(UnitPoint("residual", "tensor", residual_bits=b) for b in (8, 12, 16)),
        *(UnitPoint("softmax", one, reciprocal=40) for one in softmaxes),
        *(UnitPoint("softmax", "table", entries=e, table_bits=b) for e, b in ((16, 8), (16, 12), (32, 12))),
        *(UnitPoint("layernorm", root, precision=p) for root in FORMULATIONS["layernorm"] for p in (8, 12)),
        *(UnitPoint("layernorm", "bits", residual_bits=b, precision=12) for b in (8, 12)),
        UnitPoint("softmax", "table", lanes=4),
        UnitPoint("gelu", "table", lanes=4),
    ]
