"""Modules of SystemVerilog as values: a header, ports, a body, and the modules that it instantiates."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

INDENT = "    "
_COMMENT_WIDTH = 100


class Signal(NamedTuple):
    """A named wire or register: every width is a literal, and every intermediate value has a name.

    `bits` 0 is a single wire without an index, such as a clock.
    """

    name: str
    bits: int = 0
    signed: bool = False

    @property
    def type(self) -> str:
        """The sign and range between ``logic`` or ``wire`` and the name."""
        return ("signed " if self.signed else "") + (f"[{self.bits - 1}:0] " if self.bits else "")

    @property
    def width(self) -> int:
        """Number of wires."""
        return max(self.bits, 1)

    def to(self, bits: int) -> str:
        """The value in `bits` bits: sign or zero extended, or its low bits."""
        if bits == self.bits:
            return self.name
        return f"{bits}'({self.name})" if bits > self.bits else f"{self.name}[{bits - 1}:0]"

    def named(self, name: str) -> Signal:
        """The same kind of signal under another name."""
        return self._replace(name=name)


class Port(NamedTuple):
    """A signal at the border of a module.

    It holds `fields` values of equal width side by side, the first lowest, signed or not.
    """

    direction: Literal["input", "output"]
    signal: Signal
    meaning: str = ""
    fields: int = 1
    signed: bool = False

    @property
    def name(self) -> str:
        """Name of the signal."""
        return self.signal.name


def inp(name: str, bits: int = 0, meaning: str = "", signed: bool = False, fields: int = 1) -> Port:
    """An input."""
    return Port("input", Signal(name, bits, signed and fields == 1), meaning, fields, signed)


def out(name: str, bits: int = 0, meaning: str = "", signed: bool = False, fields: int = 1) -> Port:
    """An output."""
    return Port("output", Signal(name, bits, signed and fields == 1), meaning, fields, signed)


@dataclass(frozen=True, slots=True)
class Module:
    """One module, in a file of its own name.

    Parameters
    ----------
    name : str
        Of the module.
    header : str
        Its computation as integer formulas; lines of text.
    ports : tuple of Port
        In the order of declaration.
    body : str
        Statements.
    parts : tuple of Module, optional
        The modules that the body instantiates.
    data : tuple of tuple[str, str], optional
        Names and texts of the files that the body reads with $readmemh, from the folder in which a simulator runs.
    """

    name: str
    header: str
    ports: tuple[Port, ...]
    body: str
    parts: tuple[Module, ...] = field(default=(), repr=False)
    data: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def clocked(self) -> bool:
        """True if it holds registers."""
        return any(port.name == "clk" for port in self.ports)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """Input ports, the clock left out."""
        return tuple(port for port in self.ports if port.direction == "input" and port.name != "clk")

    @property
    def outputs(self) -> tuple[Port, ...]:
        """Output ports."""
        return tuple(port for port in self.ports if port.direction == "output")

    def hierarchy(self) -> Iterator[Module]:
        """Every module that is needed, once, each after those that it instantiates."""
        seen: set[str] = set()
        for module in self._parts_first():
            if module.name not in seen:
                seen.add(module.name)
                yield module

    def files(self) -> dict[str, str]:
        """Texts by name of file: every module that is needed, and the data that they read."""
        found: dict[str, str] = {}
        for part in self.hierarchy():
            found |= {f"{part.name}.sv": part.render(), **dict(part.data)}
        return found

    def _parts_first(self) -> Iterator[Module]:
        for part in self.parts:
            yield from part._parts_first()
        yield self

    def render(self) -> str:
        """The file."""
        comment = "\n".join(f"// {line}".rstrip() for line in _wrapped(self.header)).removesuffix("\n//")
        ports = "\n".join(self._declared(port, last=port is self.ports[-1]) for port in self.ports)
        body = textwrap.indent(self.body.strip("\n"), INDENT, lambda line: bool(line.strip()))
        head = f"{comment}\n`default_nettype none\n\nmodule {self.name} (\n{ports}\n);\n"
        return f"{head}{body}\nendmodule\n\n`default_nettype wire\n"

    def _declared(self, port: Port, last: bool) -> str:
        kind = f"{INDENT}{port.direction:<6} {'wire ' if port.direction == 'input' else 'logic'} {port.signal.type}"
        text = f"{kind}{port.name}{'' if last else ','}"
        return f"{text:<52} // {port.meaning}".rstrip() if port.meaning else text


def _wrapped(header: str) -> Iterator[str]:
    """The lines of a header: formulas, which are indented, as they are; the rest as paragraphs."""
    for paragraph in textwrap.dedent(header).strip().split("\n\n"):
        if paragraph.startswith("  "):
            yield from paragraph.split("\n")
        else:
            yield from textwrap.wrap(" ".join(paragraph.split()), _COMMENT_WIDTH)
        yield ""


def block(text: str) -> str:
    """Statements written in an indented literal."""
    return textwrap.dedent(text).strip("\n")


def lines(*parts: str) -> str:
    """Paragraphs of a body, the empty ones left out, one empty line between them."""
    return "\n\n".join(part for part in map(block, parts) if part)


def instance(module: Module, name: str, **connections: str) -> str:
    """An instance; ports that are not mentioned are connected to signals of their own names."""
    unknown = connections.keys() - {port.name for port in module.ports}
    assert not unknown, f"{module.name} has no port {sorted(unknown)}"
    wired = ",\n".join(f"{INDENT}.{port.name}({connections.get(port.name, port.name)})" for port in module.ports)
    return f"{module.name} u_{name} (\n{wired}\n);"


def wire(signal: Signal, value: str = "") -> str:
    """A declaration, with its value if it has one."""
    return f"wire {signal.type}{signal.name}{' = ' + value if value else ''};"


def part_of(bus: str, index: int, bits: int) -> str:
    """Field `index` of a bus of fields of `bits` bits."""
    return f"{bus}[{(index + 1) * bits - 1}:{index * bits}]"


def unused(name: str, *bits: str) -> str:
    """Bits that are meant to be dropped; linters know the name."""
    return f"wire unused_{name} = &{{1'b0, {', '.join(bits)}}};"
