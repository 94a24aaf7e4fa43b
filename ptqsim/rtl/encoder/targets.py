"""Targets of a block: instances of tiles and units between the words of the memories."""

from __future__ import annotations

from dataclasses import replace

from ptqsim.rtl.encoder.program import Program, Read, SumTarget, Target, TileTarget, UnitTarget
from ptqsim.rtl.encoder.tile_port import tile_port
from ptqsim.rtl.hardware.verilog import Module, instance, unused
from ptqsim.rtl.units.hardware import UnitHardware


def add_targets(program: Program, name: str, columns: int, bits: int) -> tuple[list[str], list[Module]]:
    """Text and modules of all targets, and what they give to the memory.

    Parameters
    ----------
    program : Program
        The targets.
    name : str
        Prefix of the modules.
    columns : int
        Columns of every tile.
    bits : int
        Bits of a word.
    """
    text, parts = [], []
    for number, target in enumerate(program.targets):
        if isinstance(target, SumTarget):
            text.append(_sum(number, target, bits))
            continue
        module = module_of(target, name, columns, bits)
        add = _tile if isinstance(target, TileTarget) else _unit
        text.append(add(number, target, module, bits))  # type: ignore[arg-type]
        parts.append(module)
    numbers = range(len(program.targets))
    text += [
        f"assign {signal} = " + "\n    | ".join(f"(on_{n} & {signal}_{n})" for n in numbers) + ";"
        for signal in ("a_ready", "b_ready", "o_valid")
    ]
    chosen = "\n    | ".join(f"({{{bits}{{on_{n}}}}} & o_word_{n})" for n in numbers)
    text.append(f"assign o_word = {chosen};")
    return text, parts


def module_of(target: UnitTarget | TileTarget, name: str, columns: int, bits: int) -> Module:
    """The module of a target: of a tile with its port."""
    prefix = f"{name}_{target.name}"
    if isinstance(target, TileTarget):
        return tile_port(replace(target.unit, name=prefix), columns, bits)
    return hardware_of(target, prefix).module()


def hardware_of(target: UnitTarget, prefix: str) -> UnitHardware:
    """The hardware of an integer unit, an element per cycle."""
    unit = target.unit
    length = target.row if unit.channels is None and unit.longest > target.row else None
    return UnitHardware(unit, 1, length, name=prefix)


def _declared(number: int, target: Target, bits: int) -> str:
    return (
        f"// Target {number}: {target.name}.\n"
        f"wire on_{number} = run & (target == {number});\n"
        f"wire a_ready_{number};\nwire b_ready_{number};\nwire o_valid_{number};\nwire [{bits - 1}:0] o_word_{number};"
    )


def _sum(number: int, target: SumTarget, bits: int) -> str:
    """A word and a constant added without a clock; each waits for the other."""
    sides = ("a", "b")[-len(target.reads) :]
    terms = [_value(f"{side}_word", read, bits) for side, read in zip(sides, target.reads, strict=True)]
    both = len(terms) > 1
    ready = "b_valid & o_ready" if both else "1'b0"
    other = " & a_valid" if both else ""
    return "\n".join(
        [
            _declared(number, target, bits),
            f"assign a_ready_{number} = {ready};",
            f"assign b_ready_{number} = o_ready{other};",
            f"assign o_valid_{number} = b_valid{other};",
            f"assign o_word_{number} = {' + '.join(terms)};",
        ]
    )


def _tile(number: int, target: TileTarget, module: Module, bits: int) -> str:
    unit = target.unit
    shifts = {one.name: f"{one.name}[{one.bits - 1}:0]" for one in unit.shift_inputs}
    made = instance(
        module, f"target_{number}", restart=f"load & (target == {number})",
        a_valid=f"on_{number} & a_valid", a_ready=f"a_ready_{number}", a_code=f"a_word[{unit.a.bits - 1}:0]",
        b_valid=f"on_{number} & b_valid", b_ready=f"b_ready_{number}", b_code=f"b_word[{unit.b.bits - 1}:0]",
        o_valid=f"o_valid_{number}", o_ready=f"on_{number} & o_ready", o_row_last="out_row_last",
        o_word=f"o_word_{number}", **shifts,
    )  # fmt: skip
    return f"{_declared(number, target, bits)}\n{made}"


def _unit(number: int, target: UnitTarget, module: Module, bits: int) -> str:
    code = target.unit.out_format.bits
    text = [_declared(number, target, bits), f"wire [{code - 1}:0] code_{number};"]
    wired = {}
    for side, one, read in zip("ab", target.unit.inputs, target.reads, strict=False):
        wired[f"in_{one.name}"] = _value(f"{side}_word", read, one.bits)
    both = len(target.unit.inputs) > 1
    ports = {port.name for port in module.ports}
    if "in_last" in ports:
        wired["in_last"] = "a_row_last"
    if "out_last" in ports:
        text.append(f"wire last_{number};\n{unused(f'last_{number}', f'last_{number}')}")
        wired["out_last"] = f"last_{number}"
    ready = f"taken_{number}"
    text.append(f"wire {ready};")
    text.append(
        f"assign a_ready_{number} = {ready}{' & b_valid' if both else ''};\n"
        f"assign b_ready_{number} = {f'{ready} & a_valid' if both else '''1'b0'''};\n"
        f"assign o_word_{number} = {f'''{{{bits - code}'d0, code_{number}}}''' if bits > code else f'code_{number}'};"
    )
    text.append(
        instance(
            module, f"target_{number}", in_valid=f"on_{number} & a_valid{' & b_valid' if both else ''}", in_ready=ready,
            out_valid=f"o_valid_{number}", out_ready=f"on_{number} & o_ready", out_code=f"code_{number}", **wired,
        )
    )  # fmt: skip
    return "\n".join(text)


def _value(word: str, read: Read, bits: int) -> str:
    """The integer that a word stands for, in a number of bits that the plan has proven to be enough."""
    low = f"{word}[{min(read.bits, bits) - 1}:0]"
    if read.bits >= bits:
        return low
    spare = bits - read.bits
    return f"{{{{{spare}{{{word}[{read.bits - 1}]}}}}, {low}}}" if read.signed else f"{{{spare}'d0, {low}}}"
