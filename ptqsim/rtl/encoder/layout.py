"""Layout of an instruction word: the fields that the sequencer reads from the program memory."""

from __future__ import annotations

from dataclasses import dataclass

from ptqsim.rtl.encoder.loops import Loops
from ptqsim.rtl.encoder.memories import address_bits
from ptqsim.rtl.encoder.program import Instruction, Program, TileTarget
from ptqsim.rtl.hardware.verilog import Signal

WALKS = ("a", "b", "out")
"""Address generators, by what they walk over."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Widths of the fields of an instruction.

    Parameters
    ----------
    depth : int
        Loops of an address generator.
    count_bits, address_bits, target_bits : int
        Widths of counters, addresses, and numbers of targets.
    shift_bits : tuple of int
        Widths of the shifts of both operands of a tile; 0 where no tile has such an input.
    """

    depth: int
    count_bits: int
    address_bits: int
    target_bits: int
    shift_bits: tuple[int, int]

    @classmethod
    def of(cls, program: Program, words: int) -> Layout:
        """The least layout of a program, for addresses below `words`."""
        walks = [walk for one in program.instructions for walk in (one.a, one.b, one.out)]
        inputs = [
            signal for one in program.targets if isinstance(one, TileTarget) for signal in one.unit.shift_inputs
        ]  # fmt: skip
        a, b = (max((one.bits for one in inputs if one.name == name), default=0) for name in ("m_a", "m_b"))
        return cls(
            max(len(walk.loops) for walk in walks),
            max(1, max(limit for walk in walks for limit in walk.limits).bit_length()),
            address_bits(words),
            max(1, (len(program.targets) - 1).bit_length()),
            (a, b),
        )

    @property
    def fields(self) -> tuple[Signal, ...]:
        """The fields, the first in the lowest bits."""
        walks = [
            Signal(f"{walk}_{name}", bits)
            for walk in WALKS
            for name, bits in (
                ("base", self.address_bits),
                ("limits", self.depth * self.count_bits),
                ("jumps", self.depth * self.address_bits),
            )
        ]
        shifts = [
            Signal(name, bits) for name, bits in zip(("m_a", "m_b"), self.shift_bits, strict=True) if bits
        ]  # fmt: skip
        return (*walks, Signal("target", self.target_bits), Signal("b_constant", 1), *shifts)

    @property
    def bits(self) -> int:
        """Width of an instruction."""
        return sum(one.bits for one in self.fields)

    def word(self, instruction: Instruction) -> int:
        """An instruction as an integer."""
        values = {"target": instruction.target, "b_constant": int(instruction.weights)}
        values |= dict(zip(("m_a", "m_b"), instruction.shifts, strict=True))
        for name, walk in zip(WALKS, (instruction.a, instruction.b, instruction.out), strict=True):
            values |= {f"{name}_{field}": value for field, value in self._walk(walk).items()}
        word, place = 0, 0
        for one in self.fields:
            word |= (values[one.name] & ((1 << one.bits) - 1)) << place
            place += one.bits
        return word

    def _walk(self, loops: Loops) -> dict[str, int]:
        # A loop that is not there has one count and adds nothing.
        spare = (0,) * (self.depth - len(loops.limits))
        return {
            "base": loops.base,
            "limits": _packed((*loops.limits, *spare), self.count_bits),
            "jumps": _packed((*loops.jumps, *spare), self.address_bits),
        }


def _packed(values: tuple[int, ...], bits: int) -> int:
    return sum((value & ((1 << bits) - 1)) << (place * bits) for place, value in enumerate(values))
