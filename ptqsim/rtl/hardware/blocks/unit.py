"""The specification of a unit of blocks, and its processing element."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ptqsim.common.validation import checked_type
from ptqsim.datapath.blocks.registers import AlignedFloat32, FixedPoint, register_to_dict
from ptqsim.datapath.spec import Accumulator, OverflowMode
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.blocks.block import Block
from ptqsim.rtl.hardware.blocks.aligned import next_float
from ptqsim.rtl.hardware.blocks.fixed import next_fixed
from ptqsim.rtl.hardware.blocks.scaled import Scaled, scaled_sum
from ptqsim.rtl.hardware.unit import MAX_LANES, Multiplier, Unit, checked_name
from ptqsim.rtl.hardware.verilog import Module, Port, Signal, inp, instance, lines, out, part_of, wire


@dataclass(frozen=True, slots=True)
class BlockUnit:
    """A unit that takes a pair of blocks at every step, or several pairs, and adds their values in a register.

    Parameters
    ----------
    a, b : Block
        Formats with blocks of the same size.
    register : FixedPoint or AlignedFloat32
        The register: docs/blocks.md. An `AlignedFloat32` takes its `blocks` pairs at a step.
    multiplier : Multiplier or str, optional
        A `Multiplier`, or its name.
    name : str, optional
        Prefix of every module.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If the sizes of blocks differ, a step takes more than 256 products, or their sum could need more than 63 bits.
    """

    a: Block
    b: Block
    register: FixedPoint | AlignedFloat32
    multiplier: Multiplier | str = Multiplier.BEHAVIORAL
    name: str = "ptqsim"

    def __post_init__(self) -> None:
        for field in ("a", "b"):
            checked_type(field, getattr(self, field), Block, "such as ptqsim.MXFP8")
        if not isinstance(self.register, FixedPoint | AlignedFloat32):
            raise ArgumentTypeError(
                f"no unit is generated for the register {self.register!r}; legal are FixedPoint and AlignedFloat32"
            )
        for field in ("a", "b", "register"):
            object.__setattr__(self, field, replace(getattr(self, field)))
        object.__setattr__(self, "multiplier", Multiplier.of(self.multiplier))
        checked_name(self.name)
        if self.a.block != self.b.block:
            raise ValueError(
                f"blocks of {self.a.block} and of {self.b.block} values do not fit; give formats of the same size"
            )
        if self.a.block * self.pairs > MAX_LANES:
            raise ValueError(
                f"{self.pairs} pairs of blocks of {self.a.block} are {self.a.block * self.pairs} products at a step; "
                f"{MAX_LANES} are generated at most"
            )
        _ = self.products

    @property
    def pairs(self) -> int:
        """Pairs of blocks that a step takes."""
        return self.register.blocks if isinstance(self.register, AlignedFloat32) else 1

    @property
    def products(self) -> Unit:
        """The unit of the elements, whose products a block sums."""
        a, b = self.a.element, self.b.element
        return Unit(a, b, Accumulator(63), self.a.block, multiplier=self.multiplier, name=self.name)

    @property
    def traps(self) -> bool:
        """True if an overflow raises a flag."""
        return isinstance(self.register, FixedPoint) and self.register.overflow == OverflowMode.TRAP

    @property
    def acc(self) -> Signal:
        """The register: P bits, or a float32 as its word."""
        if isinstance(self.register, FixedPoint):
            return Signal("acc", self.register.bits, signed=True)
        return Signal("acc", 32)

    def step(self) -> Module:
        """Combinational: the next register from the register, codes and scales."""
        value = Scaled.of(self.a, self.b, self.products)
        module = scaled_sum(self.products, value, self.a.block)
        text = []
        for pair in range(self.pairs):
            wires = {name: _field(self, name, pair) for name in ("a_code", "b_code", "a_scale", "b_scale")}
            suffix = f"_{pair}" if self.pairs > 1 else ""
            text += [wire(value.total.named(f"total{suffix}")), wire(value.exponent.named(f"exponent{suffix}"))]
            wires |= {"total": f"total{suffix}", "exponent": f"exponent{suffix}"}
            text.append(instance(module, f"sum{suffix}", **wires))
        ports = [*self._code_ports(), inp("acc", self.acc.bits, "register", signed=self.acc.signed)]
        ports.append(out("next_acc", self.acc.bits, "register after this step", signed=self.acc.signed))
        if self.traps:
            ports.append(out("overflows", 0, "the addition does not fit the register"))
        if isinstance(self.register, FixedPoint):
            body, part = next_fixed(self.name, self.register, value)
            formula = f"acc + value, each value in units of 2^{self.register.weight}, {self.register.rounding}"
        else:
            body, part = next_float(self.name, self.register, value)
            formula = f"acc + values, aligned to the greatest with {self.register.fraction_bits} bits below, truncated"
        header = (
            f"One step of the unit of blocks, {self.register}.\n\n  next_acc = {formula}\n  value = total << exponent"
        )
        return Module(f"{self.name}_step", header, tuple(ports), lines("\n".join(text), body), (module, part))

    def module(self) -> Module:
        """The processing element. Clocked: one step at every rising edge with enable."""
        step, acc = self.step(), self.acc
        zero = f"{acc.bits}'{'s' if acc.signed else ''}d0"
        ports = [
            inp("clk"),
            inp("enable", 0, "take this step"),
            inp("first", 0, "start from zero: the first step of an output"),
            *self._code_ports(),
            out("result", acc.bits, "what the steps taken so far give", signed=acc.signed),
            *([out("trapped", 0, "sticky: an addition did not fit since the first step")] if self.traps else []),
        ]
        trap = "        trapped <= overflows | (trapped & ~first);\n" if self.traps else ""
        body = lines(
            f"logic {acc.type}acc;",
            "\n".join([wire(acc.named("start"), f"first ? {zero} : acc"), wire(acc.named("next_acc"))]),
            "wire overflows;" if self.traps else "",
            instance(step, "step", acc="start"),
            f"always_ff @(posedge clk) begin\n    if (enable) begin\n        acc <= next_acc;\n{trap}    end\nend",
            "assign result = acc;",
        )
        header = f"Processing element of blocks: {self.a} times {self.b}, register {self.register}."
        return Module(f"{self.name}_element", header, tuple(ports), body, (step,))

    def to_dict(self) -> dict[str, Any]:
        """The unit as plain data."""
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "register": register_to_dict(self.register),
            "multiplier": str(self.multiplier),
            "name": self.name,
        }

    def _code_ports(self) -> tuple[Port, ...]:
        fields = self.a.block * self.pairs
        every: list[Port] = []
        for side, fmt in (("a", self.a), ("b", self.b)):
            bits = fmt.element.storage_bits
            every.append(inp(f"{side}_code", fields * bits, "codes of elements, the first lowest", fields=fields))
            every.append(inp(f"{side}_scale", self.pairs * 8, f"codes of scales, {fmt.scale}", fields=self.pairs))
        return tuple(every)


def _field(unit: BlockUnit, name: str, pair: int) -> str:
    """The codes or the scale of one pair of blocks."""
    if unit.pairs == 1:
        return name
    fmt = unit.a if name.startswith("a") else unit.b
    return part_of(name, pair, 8 if name.endswith("scale") else fmt.block * fmt.element.storage_bits)
