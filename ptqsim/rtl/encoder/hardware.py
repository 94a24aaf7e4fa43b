"""The specification of an encoder block in hardware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from ptqsim.common.validation import checked_integer, checked_type
from ptqsim.datapath.spec import Accumulator
from ptqsim.integer_only import Plan
from ptqsim.rtl.encoder.assembly import assemble
from ptqsim.rtl.encoder.memory_map import MemoryMap, memory_map, weight_words
from ptqsim.rtl.encoder.part import Part, checked_accumulators, encoder_block, whole_network
from ptqsim.rtl.encoder.program import Program, SumTarget, TileTarget, UnitTarget
from ptqsim.rtl.encoder.sequencer import sequencer
from ptqsim.rtl.encoder.targets import hardware_of
from ptqsim.rtl.hardware.unit import checked_name
from ptqsim.rtl.hardware.verilog import Module

MAX_COLUMNS: Final = 256
MAX_BLOCK: Final = 1 << 16


@dataclass(frozen=True, eq=False)
class EncoderBlock:
    """Hardware of one encoder block of an integer-only network, or of all of it: docs/rtl_block.md.

    Parameters
    ----------
    plan : ptqsim.integer_only.Plan
        The network.
    block : int or None, optional
        Number of the block; None for the whole network, from the pixels to the logits.
    columns : int, optional
        Columns of a tile, which multiply at a time, 1 to 256.
    accumulators : mapping of str to Accumulator, optional
        Accumulators of products by name; 32 bits otherwise.
    name : str, optional
        Prefix of every module.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If there is no such block, or something in it has no hardware.
    """

    plan: Plan
    block: int | None = 0
    columns: int = 32
    accumulators: Mapping[str, Accumulator] | None = None
    name: str = "ptqsim"

    def __post_init__(self) -> None:
        checked_type("plan", self.plan, Plan)
        if self.block is not None:
            object.__setattr__(self, "block", checked_integer("block", self.block, 0, MAX_BLOCK))
        object.__setattr__(self, "columns", checked_integer("columns", self.columns, 1, MAX_COLUMNS))
        checked_name(self.name)
        for target in self.program.targets:  # refuses what has no hardware
            if isinstance(target, UnitTarget):
                hardware_of(target, self.name)

    @cached_property
    def part(self) -> Part:
        """The steps of the block."""
        return whole_network(self.plan) if self.block is None else encoder_block(self.plan, self.block)

    @cached_property
    def places(self) -> MemoryMap:
        """The memory map."""
        return memory_map(self.part)

    @cached_property
    def program(self) -> Program:
        """Targets and instructions."""
        chosen = checked_accumulators(self.part, self.accumulators)
        return assemble(self.part, self.places, chosen, self.columns)

    @property
    def words(self) -> int:
        """Words of the data memory: those of all edges, and the cycles of every instruction."""
        return self.places.edge_words + len(self.program.instructions)

    def module(self, program: Program | None = None) -> Module:
        """The module with valid and ready; another `program` is for planted bugs."""
        title = "Integer-only network" if self.block is None else f"Encoder block {self.block}"
        weights = weight_words(self.part).tolist()
        return sequencer(
            self.name, title, program or self.program, self.places, self.part.output, weights, self.columns
        )

    def to_dict(self) -> dict[str, Any]:
        """The specification as plain data: the memory map, and what every instruction does."""
        program, places = self.program, self.places
        return {
            "block": self.block,
            "columns": self.columns,
            "source": self.part.source,
            "output": self.part.output,
            "data": [{"edge": one.name, "base": one.base, "words": one.words, "bits": one.bits} for one in places.data],
            "cycles": places.edge_words,
            "weights": [{"product": one.name, "base": one.base, "words": one.words} for one in places.weights],
            "targets": [
                {"name": one.name} | ({} if isinstance(one, SumTarget) else {_kind(one): one.unit.to_dict()})
                for one in program.targets
            ],
            "instructions": [
                {"step": one.step, "index": list(one.index), "target": program.targets[one.target].name}
                for one in program.instructions
            ],
        }


def _kind(target: TileTarget | UnitTarget) -> str:
    return "tile" if isinstance(target, TileTarget) else "unit"
