"""Statements of a module under construction: values with a name, an interval and the width that follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from ptqsim.rtl.hardware.multiplier import multiplier
from ptqsim.rtl.hardware.requantization.parts import number
from ptqsim.rtl.hardware.unit import Multiplier
from ptqsim.rtl.hardware.verilog import Module, Signal, instance, lines, unused, wire
from ptqsim.units.interval import Interval, signed_interval

Operand: TypeAlias = Signal | int
"""A wire or a constant."""


class Body:
    """Statements in their order, and the modules that they instantiate.

    Parameters
    ----------
    name : str
        Prefix of the modules that are instantiated.
    style : Multiplier or str, optional
        Style of multipliers of two wires; a constant is multiplied by an asterisk.
    spare : mapping of str to int, optional
        Bits that named values have beyond those of their intervals, negative for fewer: for proofs and planted bugs.
    """

    def __init__(
        self, name: str, style: Multiplier | str = Multiplier.BEHAVIORAL, spare: Mapping[str, int] | None = None
    ) -> None:
        self.name = name
        self.style = Multiplier.of(style)
        self.spare = spare or {}
        self.text: list[str] = []
        self.parts: list[Module] = []

    def add(self, text: str) -> None:
        """Append statements."""
        self.text.append(text)

    def render(self) -> str:
        """The statements, one empty line between them where they take several lines."""
        groups: list[list[str]] = []
        for text in self.text:
            if groups and "\n" not in text and "\n" not in groups[-1][-1]:
                groups[-1].append(text)
            else:
                groups.append([text])
        return lines(*("\n".join(group) for group in groups))

    def signal(self, name: str, interval: Interval, signed: bool = False) -> Signal:
        """A wire that holds every integer of an interval, in two's complement where that is asked for or needed."""
        bits = interval.bits + (signed and not interval.signed) + self.spare.get(name, 0)
        return Signal(name, max(1, bits), signed or interval.signed)

    def let(self, name: str, interval: Interval, value: str, signed: bool = False) -> Signal:
        """Declare a wire with a value of its own width."""
        found = self.signal(name, interval, signed)
        self.add(wire(found, value))
        return found

    def sum(self, name: str, interval: Interval, *terms: Operand, signed: bool = False) -> Signal:
        """The sum of wires and constants."""
        found = self.signal(name, interval, signed)
        self.add(wire(found, " + ".join(at(term, found.bits) for term in terms)))
        self._dropped(found, *terms)
        return found

    def difference(self, name: str, interval: Interval, x: Operand, y: Operand, signed: bool = False) -> Signal:
        """``x - y``."""
        found = self.signal(name, interval, signed)
        self.add(wire(found, f"{at(x, found.bits)} - {at(y, found.bits)}"))
        self._dropped(found, x, y)
        return found

    def product(self, name: str, interval: Interval, x: Signal, y: Operand, kind: str | None = None) -> Signal:
        """``x * y``; a multiplier where both are wires, whose module several products of one `kind` share."""
        found = self.signal(name, interval)
        if isinstance(y, int):
            self.add(wire(found, at(x, found.bits) if y == 1 else f"{at(x, found.bits)} * {at(y, found.bits)}"))
            self._dropped(found, x)
            return found
        bits = max(found.bits, x.bits, y.bits)
        times = multiplier(f"{self.name}_{kind or name}_multiplier", self.style, x, y, bits)
        exact = found if bits == found.bits else Signal(f"{name}_exact", bits, found.signed)
        self.add(wire(exact))
        self.instance(times, name, x=x.name, y=y.name, product=exact.name)
        if exact is not found:
            self.add(wire(found, exact.to(found.bits)))
            self._dropped(found, exact)
        return found

    def shifted(
        self, name: str, interval: Interval, x: Signal, shift: int, signed: bool = False, keep: bool = False
    ) -> Signal:
        """``floor(x / 2**shift)``, to the left where the shift is negative.

        `keep` says that somebody else reads the bits that are shifted out.
        """
        found = self.signal(name, interval, signed)
        if shift <= 0:
            moved = at(x, found.bits)
            self.add(wire(found, f"{moved} <<< {-shift}" if shift else moved))
            self._dropped(found, x)
            return found
        left = Signal(f"{name}_bits", max(1, x.bits - shift), x.signed)
        top = x.bits - 1
        value = f"{x.name}[{top}:{shift}]" if shift <= top else f"{x.name}[{top}]" if x.signed else "1'b0"
        if left.bits == found.bits:
            self.add(wire(found, value))
        else:
            self.add(wire(left, value))
            self.add(wire(found, left.to(found.bits)))
            self._dropped(found, left)
        if not keep and shift:
            self.drop(f"{name}_fraction", f"{x.name}[{min(shift, x.bits) - 1}:0]")
        return found

    def moved(self, name: str, interval: Interval, x: Signal, amount: Signal, signed: bool = False) -> Signal:
        """``floor(x / 2**amount)`` with an amount that is a wire, not negative."""
        found = self.signal(name, interval, signed)
        bits = max(found.bits, x.bits)
        wide = Signal(f"{name}_wide", bits + (not x.signed), signed=True)
        right = Signal(f"{name}_moved", wide.bits, signed=True)
        self.add(wire(wide, x.to(wide.bits)))
        self.add(wire(right, f"{wide.name} >>> {amount.name}"))
        self.add(wire(found, right.to(found.bits)))
        self._dropped(found, right)
        return found

    def raised(self, name: str, interval: Interval, x: Signal, amount: Signal) -> Signal:
        """``x * 2**amount`` with an amount that is a wire, not negative."""
        return self.let(name, interval, f"{at(x, self.signal(name, interval).bits)} <<< {amount.name}")

    def choice(self, name: str, interval: Interval, condition: str, x: Operand, y: Operand) -> Signal:
        """x where the condition holds, else y."""
        found = self.signal(name, interval)
        self.add(wire(found, f"{condition} ? {at(x, found.bits)} : {at(y, found.bits)}"))
        self._dropped(found, x, y)
        return found

    def least(self, name: str, interval: Interval, x: Signal, most: int) -> Signal:
        """The lesser of a wire and a constant."""
        return self.choice(name, interval, compared(x, "<", most), x, most)

    def drop(self, name: str, *bits: str) -> None:
        """Bits that nobody reads, and are not meant to be read."""
        self.add(unused(name, *bits))

    def instance(self, module: Module, name: str, **connections: str) -> None:
        """An instance of a module; each kind of module is a part once."""
        if module.name not in {part.name for part in self.parts}:
            self.parts.append(module)
        self.add(instance(module, name, **connections))

    def _dropped(self, found: Signal, *operands: Operand) -> None:
        """High bits of operands that a narrower result does not take."""
        for operand in operands:
            if isinstance(operand, Signal) and operand.bits > found.bits:
                self.drop(f"{operand.name}_of_{found.name}", f"{operand.name}[{operand.bits - 1}:{found.bits}]")


def at(operand: Operand, bits: int) -> str:
    """A wire or a constant in a number of bits, the constant in two's complement."""
    return number(operand & ((1 << bits) - 1), bits) if isinstance(operand, int) else operand.to(bits)


def compared(x: Signal, relation: str, y: Operand) -> str:
    """A comparison, signed where either side may be negative."""
    signed = x.signed or (y < 0 if isinstance(y, int) else y.signed)
    if not signed:
        bits = max(x.bits, max(1, y.bit_length()) if isinstance(y, int) else y.bits)
        return f"({at(x, bits)} {relation} {at(y, bits)})"
    other = Interval(min(y, 0), max(y, 0)).bits + 1 if isinstance(y, int) else y.bits + (not y.signed)
    bits = max(x.bits + (not x.signed), other)
    sides = [one if isinstance(one, Signal) and one.signed and one.bits == bits else None for one in (x, y)]
    named = [side.name if side else f"$signed({at(one, bits)})" for side, one in zip(sides, (x, y), strict=True)]
    return f"({named[0]} {relation} {named[1]})"


def of_bits(signal: Signal) -> Interval:
    """The integers that a wire can hold."""
    return signed_interval(signal.bits) if signal.signed else Interval(0, (1 << signal.bits) - 1)
