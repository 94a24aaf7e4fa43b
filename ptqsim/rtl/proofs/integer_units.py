"""Claims about the hardware of integer units: widths, tables, division, roots and mapped gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from ptqsim import units
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.proofs.circuits import for_each, same_as_gates, same_modules
from ptqsim.rtl.proofs.claim import Claim
from ptqsim.rtl.proofs.solver import counterexample
from ptqsim.rtl.simulation.cxxrtl import compile_modules
from ptqsim.rtl.simulation.schedule import CycleSchedule
from ptqsim.rtl.units.body import Body
from ptqsim.rtl.units.cores import core
from ptqsim.rtl.units.exponentials import exponential
from ptqsim.rtl.units.hardware import UnitHardware
from ptqsim.rtl.units.parts.rom import table
from ptqsim.rtl.units.reciprocal_root import reciprocal_root
from ptqsim.units.activation_units.activation import table_of
from ptqsim.units.interval import Interval
from ptqsim.units.reference import layer_norm as reference
from ptqsim.units.softmax_units.softmax_unit import SoftmaxUnit

SPARE: Final = 2
"""Bits by which every value of the wide circuit is wider than proven."""
MAX_INPUTS: Final = 1 << 13
"""Inputs up to which every one of them is traced; of more, the corners."""
ROOT_BITS: Final = 12
"""Width of the variances of which the root is compared for every one."""

CHANNEL: Final = "channel"
_ENCODED: Final = ("nudged", "rounded", "nudged_code", "rounded_code", "index", "code")
"""Values of the unit that the encoder of codes has in another form, or that are ports."""

Maker = Callable[[UnitHardware, str, Mapping[str, int]], Module]


@dataclass(frozen=True, slots=True)
class Overflow:
    """A value that leaves a register of one bit less, in the simulator's own trace.

    Parameters
    ----------
    name : str
        Of the value.
    bits : int
        Width that the unit proves.
    inputs : dict of str to int
        The inputs that lead to it.
    value : int
        What it is then.
    """

    name: str
    bits: int
    inputs: dict[str, int]
    value: int


def unit_claims(hardware: UnitHardware) -> list[Claim]:
    """The claims about one unit, each with the false one beside it that has to be refuted."""
    unit = hardware.unit
    if isinstance(unit, SoftmaxUnit):
        ports = ("distance", "exponential")
        return [*_width_claims(hardware, _exponential, "the exponential", ports), *_sum_claims(unit)]
    if isinstance(unit, units.LayerNorm):
        return _root_claims(hardware, unit)
    if isinstance(unit, units.ShiftGELU):
        return _divider_claims()
    claims = _width_claims(hardware, _core, "the core", ())
    return claims + ([table_claim(unit)] if isinstance(unit, units.Activation) else [])


def _exponential(hardware: UnitHardware, name: str, spare: Mapping[str, int]) -> Module:
    unit = hardware.unit
    assert isinstance(unit, SoftmaxUnit)
    return exponential(f"{name}_exponential", unit, str(hardware.multiplier), spare)


def _core(hardware: UnitHardware, name: str, spare: Mapping[str, int]) -> Module:
    """The core, with the table of the constants where channels have their own: no others can come."""
    given = replace(hardware, name=name)
    inner, channels = core(given, spare)
    if not channels.fields:
        return inner
    rom = channels.rom(f"{name}_constants", 1)
    body = Body(name)
    body.add(f"wire [{channels.bits - 1}:0] constants;")
    body.instance(rom, "constants", index=CHANNEL, value="constants")
    body.instance(inner, "core", **channels.slices("constants", 0))
    own = {field.name for field in channels.fields}
    ports = (rom.ports[0]._replace(signal=rom.ports[0].signal.named(CHANNEL)),
             *(port for port in inner.ports if port.name not in own))  # fmt: skip
    header = "Core with its constants.\n\n  code = core(inputs, constants[channel])"
    return Module(f"{name}_channels", header, ports, body.render(), tuple(body.parts))


def overflows(hardware: UnitHardware) -> list[Overflow]:
    """For every value of an elementwise unit that needs its width, an input with which one bit less overflows.

    Every input is traced where these are few, else those at the ends and in the middle; a unit with rows has none here.
    """
    unit = hardware.unit
    if hardware.keeps_rows:
        return []
    ranges = [np.arange(-(1 << (one.bits - 1)), 1 << (one.bits - 1)) for one in unit.inputs]
    if np.prod([len(one) for one in ranges]) > MAX_INPUTS:
        ranges = [one[[0, 1, len(one) // 2 - 1, len(one) // 2, -1]] for one in ranges]
    grid = [axis.ravel() for axis in np.meshgrid(*ranges)]
    channels = unit.channels or 1
    rows = [np.repeat(axis[:, None], channels, axis=1) for axis in grid]
    traced, widths, found = unit.trace(*rows), unit.widths(), []
    for name, interval in widths.items():
        values = traced[name]
        less = Interval(-(1 << (interval.bits - 2)), (1 << (interval.bits - 2)) - 1) if interval.signed else (
            Interval(0, (1 << (interval.bits - 1)) - 1)
        )  # fmt: skip
        beyond = np.argwhere((values < less.lowest) | (values > less.highest))
        if len(beyond):
            first = tuple(beyond[0])
            inputs = {one.name: int(row[first]) for one, row in zip(unit.inputs, rows, strict=True)}
            found.append(Overflow(name, interval.bits, inputs, int(values[first])))
    return found


def _width_claims(hardware: UnitHardware, maker: Maker, what: str, ports: tuple[str, ...]) -> list[Claim]:
    """The circuit is the one with wider values; with one bit less in a value that needs its width, it is not."""
    names = [name for name in hardware.unit.widths() if name not in ports + _ENCODED]
    wide = dict.fromkeys(names, SPARE)
    channels = 0 if isinstance(hardware.unit, SoftmaxUnit) or not core(hardware, {})[1].fields else hardware.row_length
    cases = for_each(CHANNEL, channels)
    claims = [
        Claim(
            "RTL: widths",
            f"{what} is itself with {SPARE} more bits in every value, for every input",
            "yosys",
            lambda timeout: same_modules(maker(hardware, "gold", wide), maker(hardware, "gate", {}), timeout, cases),
        ),
        Claim(
            "RTL is gates",
            f"{what} as written is itself mapped to gates",
            "yosys",
            lambda timeout: same_as_gates(maker(hardware, "unit", {}), timeout, cases),
        ),
    ]
    return claims + [
        Claim(
            f"RTL: {name} of one bit less",
            f"{what} is itself with one bit less in {name}",
            "yosys",
            lambda timeout, name=name: same_modules(  # type: ignore[misc]
                maker(hardware, "gold", {}), maker(hardware, "gate", {name: -1}), timeout
            ),
            holds=False,
        )
        for name in _needed(hardware, maker, names)
    ]


def _needed(hardware: UnitHardware, maker: Maker, names: list[str]) -> list[str]:
    """Values that some input brings to the end of their width, and that are wires of the circuit."""
    unit = hardware.unit
    if isinstance(unit, SoftmaxUnit):
        reached = ["product", "unbounded", "mantissa", "polynomial"]
    else:
        reached = [one.name for one in overflows(hardware)]
    text = "\n".join(part.body for part in maker(hardware, "unit", {}).hierarchy())
    declared = {word for line in text.split("\n") if line.startswith("wire") for word in line.split()}
    return [name for name in reached if name in declared and name in names and unit.widths()[name].bits > 1]


def table_claim(unit: units.Activation) -> Claim:
    """The table in the circuit beside the function of every code, computed anew to 40 digits."""

    def decide(timeout: float) -> str | None:
        index = unit.rescale.out_format
        wanted = np.array(table_of(type(unit), index, unit.out_format))
        rom = table("table", unit.table, unit.out_format.bits, unit.kind)
        found = compile_modules([rom])[0].evaluate({"index": np.arange(len(wanted))})["value"]
        differ = np.flatnonzero(found != wanted)
        if not len(differ):
            return None
        return f"index = {differ[0]}, table = {found[differ[0]]}, function = {wanted[differ[0]]}"

    return Claim(
        "RTL: table is function",
        f"for every of {len(unit.table)} codes: the table has the code of {unit.kind} of its value, to 40 digits",
        "yosys",
        decide,
    )


def _sum_claims(unit: SoftmaxUnit) -> list[Claim]:
    """The register of the sum, by induction over the elements of a row."""
    top, length, bits = unit.exponential.highest, unit.length, unit.total.bits

    def decide(width: int) -> Callable[[float], str | None]:
        def decided(timeout: float) -> str | None:
            import z3

            total, one, count = z3.Ints("total exponential elements")
            given = [count >= 0, count < length, total >= 0, total <= count * top, one >= 0, one <= top]
            claim = z3.And(total + one <= (count + 1) * top, total + one < 1 << width)
            return counterexample(claim, given, timeout)

        return decided

    statement = f"hold every sum of up to {length} exponentials (induction over the elements)"
    return [
        Claim("width of the sum", f"{bits} bits {statement}", "z3", decide(bits)),
        Claim("one bit less in the sum", f"{bits - 1} bits {statement}", "z3", decide(bits - 1), holds=False),
        *_divider_claims(),
    ]


def _divider_claims() -> list[Claim]:
    """One step of restoring division keeps dividend = quotient * divisor + rest, and the rest below the divisor."""

    def decide(restores: bool) -> Callable[[float], str | None]:
        def decided(timeout: float) -> str | None:
            import z3

            prefix, quotient, divisor, rest, bit = z3.Ints("prefix quotient divisor rest bit")
            given = [divisor > 0, rest >= 0, rest < divisor, bit >= 0, bit <= 1, prefix == quotient * divisor + rest]
            following = 2 * rest + bit
            fits = following >= divisor
            left = z3.If(fits, following - divisor, following if restores else following - divisor)
            after = 2 * quotient + z3.If(fits, 1, 0)
            claim = z3.And(2 * prefix + bit == after * divisor + left, left >= 0, left < divisor)
            return counterexample(claim, given, timeout)

        return decided

    kept = "2 prefix + bit = quotient' divisor + rest', 0 <= rest' < divisor (induction over the bits)"
    return [
        Claim("division", f"a step that restores keeps {kept}", "z3", decide(True)),
        Claim("division without restoring", f"a step that does not restore keeps {kept}", "z3", decide(False), False),
    ]


def _root_claims(hardware: UnitHardware, unit: units.LayerNorm) -> list[Claim]:
    """The root: a step by induction, the module for every variance of a width, and the division behind it."""

    def step(bits: int) -> Callable[[float], str | None]:
        def decided(timeout: float) -> str | None:
            import z3

            prefix, root, rest, two = z3.Ints("prefix root rest two")
            given = [root >= 0, root < 1 << (unit.precision - 1), two >= 0, two <= 3, rest >= 0, rest <= 2 * root]
            following, trial = 4 * rest + two, 4 * root + 1
            fits = following >= trial
            left, after = z3.If(fits, following - trial, following), 2 * root + z3.If(fits, 1, 0)
            exact = 4 * (root * root + rest) + two == after * after + left
            claim = z3.And(exact, left >= 0, left <= 2 * after, left < 1 << bits)
            return counterexample(z3.Implies(prefix == root * root + rest, claim), given, timeout)

        return decided

    def every(timeout: float) -> str | None:
        small = _of_variance_bits(unit, ROOT_BITS)
        simulated = compile_modules([reciprocal_root("reciprocal_root", small)])[0]
        variance = np.arange(1, 1 << simulated.module.inputs[2].signal.bits)
        schedule = CycleSchedule(patience=hardware.patience)
        found: dict[str, Any] = simulated.stream({"in": {"in_variance": variance}}, len(variance), {}, schedule)
        for value, root, reciprocal in zip(
            variance.tolist(), found["out_root"].tolist(), found["out_reciprocal"].tolist(), strict=True
        ):
            wanted = reference.reciprocal_root(value, small.precision)
            if (root, reciprocal) != (wanted.root, wanted.reciprocal):
                return f"variance = {value}, root = {root}, reciprocal = {reciprocal}, specified = {wanted}"
        return None

    p = unit.precision
    kept = "r'^2 + rest' = 4 (r^2 + rest) + two, 0 <= rest' <= 2 r' (induction over the bits)"
    return [
        Claim("root", f"a step keeps {kept}, in {p + 1} bits", "z3", step(p + 1)),
        Claim("root with one bit less", f"a step keeps {kept}, in {p} bits", "z3", step(p), holds=False),
        Claim(
            "RTL: root is specified",
            f"root and reciprocal of {unit.root} to {p} bits are those of the reference, for every variance of "
            f"{ROOT_BITS} bits",
            "yosys",
            every,
        ),
        *_divider_claims(),
    ]


def _of_variance_bits(unit: units.LayerNorm, bits: int) -> units.LayerNorm:
    """A unit of the same root whose variances have as many bits."""
    return units.LayerNorm(
        unit.out_format, (1,), (0,), (1 << (bits - 1)), 2, 4, unit.precision, 0, 0, unit.root
    )  # fmt: skip
