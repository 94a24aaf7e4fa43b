"""Constants of channels: literals where all channels have the same, fields of a table where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ptqsim.rtl.hardware.verilog import Module, Port, Signal, inp
from ptqsim.rtl.units.body import Operand
from ptqsim.rtl.units.parts.rom import table
from ptqsim.units.constants import spread
from ptqsim.units.interval import of_values


class Channels:
    """Constants by name, each one integer for all channels or one for every channel.

    Parameters
    ----------
    constants : mapping of str to sequence of int
        Values, one or one per channel.
    count : int or None
        Number of channels; None if all constants are those of a whole tensor.
    """

    def __init__(self, constants: Mapping[str, Sequence[int]], count: int | None) -> None:
        self.constants = {name: tuple(values) for name, values in constants.items()}
        self.count = count
        self.fields = [
            self._field(name) for name, values in self.constants.items() if len(set(values)) > 1
        ]  # fmt: skip

    def operand(self, name: str) -> Operand:
        """The wire of a constant, or its value where it is the same for all channels."""
        return next((field for field in self.fields if field.name == name), self.constants[name][0])

    @property
    def ports(self) -> tuple[Port, ...]:
        """Inputs of a core that works on one channel at a time."""
        return tuple(inp(field.name, field.bits, "of the channel", signed=field.signed) for field in self.fields)

    @property
    def bits(self) -> int:
        """Width of all fields of one channel, side by side."""
        return sum(field.bits for field in self.fields)

    def rom(self, name: str, lanes: int) -> Module:
        """The table: for every beat of a row the fields of its lanes, the first in the lowest bits."""
        assert self.count is not None
        columns = [(field, spread(self.constants[field.name], self.count)) for field in self.fields]
        entries = []
        for first in range(0, self.count, lanes):
            word, place = 0, 0
            for channel in range(first, first + lanes):
                for field, values in columns:
                    value = values[channel] if channel < self.count else 0
                    word |= (value & ((1 << field.bits) - 1)) << place
                    place += field.bits
            entries.append(word)
        named = ", ".join(f"{field.name}[{field.bits}]" for field in self.fields[::-1])
        what = f"of every beat of {lanes} channel{'s' if lanes > 1 else ''} {{{named}}}"
        return table(name, entries, lanes * self.bits, what)

    def slices(self, bus: str, lane: int) -> dict[str, str]:
        """Bits of a word of the table that are the fields of a lane, by name."""
        found, place = {}, lane * self.bits
        for field in self.fields:
            found[field.name] = f"{bus}[{place + field.bits - 1}:{place}]"
            place += field.bits
        return found

    def _field(self, name: str) -> Signal:
        interval = of_values(self.constants[name])
        return Signal(name, interval.bits, interval.signed)
