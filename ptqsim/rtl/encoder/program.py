"""The program of a block: instructions that send words from the memories through a unit or a tile, and back."""

from __future__ import annotations

from dataclasses import dataclass

from ptqsim.rtl.encoder.loops import Loops
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.units.protocol import Unit as IntegerUnit


@dataclass(frozen=True, slots=True)
class Read:
    """The value in a word of an edge, as a unit takes it.

    Parameters
    ----------
    bits : int
        Low bits of the word that are the value.
    signed : bool
        True if they are in two's complement.
    """

    bits: int
    signed: bool


@dataclass(frozen=True, slots=True)
class UnitTarget:
    """An integer unit, and how it reads its inputs.

    Parameters
    ----------
    name : str
        Of the step and the index that it was first used for.
    unit : ptqsim.units.Unit
        The unit.
    reads : tuple of Read
        One for every input.
    row : int
        Greatest length of a row.
    """

    name: str
    unit: IntegerUnit
    reads: tuple[Read, ...]
    row: int


@dataclass(frozen=True, slots=True)
class TileTarget:
    """A tile for all products of one kind of operands.

    Parameters
    ----------
    name : str
        The kind of its left operand, with a number where several have it.
    unit : ptqsim.rtl.Unit
        Formats, accumulator and greatest depth of its products.
    """

    name: str
    unit: Unit


@dataclass(frozen=True, slots=True)
class SumTarget:
    """An adder of a word and a constant.

    Parameters
    ----------
    name : str
        Of the step, and what it adds to.
    reads : tuple of Read
        Of the integer and of the constant; the constant alone where a zero was put in front.
    """

    name: str
    reads: tuple[Read, ...]


Target = UnitTarget | TileTarget | SumTarget


@dataclass(frozen=True, slots=True)
class Instruction:
    """One pass of words through a target.

    Parameters
    ----------
    step : str
        Name of the step that it is a piece of.
    index : tuple of int
        Head, or matrix, and of products the first column too.
    target : int
        Number of the target.
    a, b, out : Loops
        Addresses of the left operand or first input, of the right one, and of what comes out.
    weights : bool
        True if b are addresses of the weight memory.
    shifts : tuple of int
        Shifts of the operands of a tile, where they are inputs of it.
    macs : int
        Multiplications, of columns that count.
    """

    step: str
    index: tuple[int, ...]
    target: int
    a: Loops
    b: Loops
    out: Loops
    weights: bool = False
    shifts: tuple[int, ...] = (0, 0)
    macs: int = 0


@dataclass(frozen=True, eq=False)
class Program:
    """Targets and instructions.

    Parameters
    ----------
    targets : tuple of Target
        Tiles, then units, in the order of their first use.
    instructions : tuple of Instruction
        In the order of execution, one after the other.
    """

    targets: tuple[Target, ...]
    instructions: tuple[Instruction, ...]
