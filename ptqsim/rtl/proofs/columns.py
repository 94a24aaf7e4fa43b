"""Theorems about one output channel in hardware: its weights are constants, its inputs are any codes.

No input overflows a register, by induction over the steps of the generated RTL. Let every register lie in an interval
before a step, at first that of its start value alone. For each step the SAT solver proves of the RTL, with the weight
of this step as a constant, that for every code and every value in these intervals no overflow flag rises and every
register lies in its next interval: the sums of least and greatest terms so far. So flags never rise, at any depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from ptqsim import fitting
from ptqsim.datapath.limits.sums import grid_ranges, sides
from ptqsim.datapath.order import Split
from ptqsim.datapath.spec import Accumulator, OverflowMode
from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.base import NumberFormat
from ptqsim.gemm import matmul
from ptqsim.rtl.hardware.accumulate import accumulate
from ptqsim.rtl.hardware.correction import constant_signal
from ptqsim.rtl.hardware.step import registers, step
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, instance, lines, out, wire
from ptqsim.rtl.proofs.circuits import sat
from ptqsim.rtl.proofs.claim import Claim
from ptqsim.rtl.proofs.replay import Counterexample

Interval = tuple[int, int]

_PREPARED: Final = ["hierarchy -check -top both", "proc", "flatten", "opt -full"]


class Step(NamedTuple):
    """One step of a column: its weights, what registers may hold before and after, and every sum that is stored."""

    codes: tuple[int, ...]
    tile_end: bool
    before: dict[str, Interval]
    after: dict[str, Interval]
    sums: dict[str, Interval]


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """The weights of one output channel on a unit that traps.

    Parameters
    ----------
    a : NumberFormat
        Format of the inputs.
    weights : QuantizedArray
        Codes [K, 1]; `Uniform`, and without a zero point where the accumulator corrects for those of inputs.
    accumulator : Accumulator
        The datapath. Its overflow mode plays no part: that nothing overflows is the same claim for all.

    Raises
    ------
    ValueError
        If no unit is generated for the formats, or a correction has a rest.
    """

    a: NumberFormat
    weights: QuantizedArray
    accumulator: Accumulator

    def __post_init__(self) -> None:
        order = self.accumulator.order
        plain = Split(order.tile, order.inner_bits) if isinstance(order, Split) else order
        object.__setattr__(self, "accumulator", replace(self.accumulator, overflow=OverflowMode.TRAP, order=plain))
        if self.weights.ndim != 2 or self.weights.shape[1] != 1 or not self.weights.shape[0]:
            raise ValueError(f"the weights of one output channel are [K, 1], got {self.weights.shape}: try b[:, 3:4]")
        if self.unit.adds_rest:
            raise ValueError(
                f"the weights have a zero point of {self.weights.format.zero_point} and the accumulator corrects for "
                "it, so that what is added at the end depends on the input; legal is zero_point='operand'"
            )

    @property
    def unit(self) -> Unit:
        """The hardware."""
        return Unit(self.a, self.weights.format.unscaled(), self.accumulator, len(self.weights))

    @property
    def widths(self) -> dict[str, int]:
        """The least width of each register that no input overflows, by the weight-aware bound."""
        bounds = fitting.certificate(self.a, self.weights, self.accumulator)
        return {name: bound.bits for name, bound in bounds.items()}

    def with_widths(self, widths: dict[str, int]) -> Column:
        """The same weights in registers of other widths."""
        order = self.accumulator.order
        if isinstance(order, Split):
            order = Split(order.tile, widths.get("inner", order.inner_bits))
        bits = widths.get("accumulator", self.accumulator.bits)
        return replace(self, accumulator=replace(self.accumulator, bits=bits, order=order))

    @property
    def constant(self) -> int:
        """The start value of the registers: the correction of zero points that is known with the weights."""
        return -self.a.zero_point * int(self.weights.aligned().sum()) if self.unit.preloads else 0

    def steps(self) -> Iterator[Step]:
        """The steps, with the least and greatest sums that inputs can make."""
        unit, lanes = self.unit, self.unit.lanes
        zero = int(np.flatnonzero(self.weights.format.aligned_table() == 0)[0])
        codes, values = self.weights.codes.ravel().tolist(), self.weights.aligned().ravel().tolist()
        ranges = [side.integers if unit.corrects else side[:2] for side in sides(self.a, self.accumulator.alignment)]
        state: dict[str, Interval] = {
            one.name: (self.constant,) * 2 if one.name.startswith("acc") else (0, 0) for one in registers(unit)
        }
        for start in range(0, len(codes), lanes):
            group, weights = codes[start : start + lanes], values[start : start + lanes]
            tile_end = unit.split is not None and ((start + 1) % unit.split.tile == 0 or start + 1 == len(codes))
            before, sums = dict(state), {}
            for pair in unit.pairs:
                tag, ends = unit.tag(pair), [[x * w for x in ranges[pair[0]]] for w in weights]
                term = sum(min(0, *both) for both in ends), sum(max(0, *both) for both in ends)
                if unit.split is not None:
                    term = sums[f"inner{tag}"] = _added(state[f"inner{tag}"], term)
                    state[f"inner{tag}"] = (0, 0) if tile_end else term
                if unit.split is None or tile_end:
                    state[f"acc{tag}"] = sums[f"acc{tag}"] = _added(state[f"acc{tag}"], term)
            yield Step((*group, *[zero] * (lanes - len(group))), tile_end, before, dict(state), sums)


def column_claims(column: Column) -> list[Claim]:
    """The claim that no input overflows, and for each register the false one that a bit less would do as well."""
    widths = {name: bits for name, bits in column.widths.items() if bits > 2}
    held = ", ".join(f"{name} of {bits} bits" for name, bits in fitting.register_widths(column.accumulator).items())
    claims = [
        Claim(
            "no input overflows",
            f"with these {len(column.weights)} weights no codes make an addition of the RTL leave its register: {held}",
            "yosys",
            lambda timeout: _overflows(column, timeout),
        )
    ]
    return claims + [
        Claim(
            f"{bits - 1} bits do as well" + (" in a tile" if name == "inner" else ""),
            f"the same with {name} of {bits - 1} bits",
            "yosys",
            lambda timeout, name=name: _overflows(narrower(column, name), timeout),  # type: ignore[misc]
            holds=False,
        )
        for name, bits in widths.items()
    ]


def narrower(column: Column, register: str) -> Column:
    """Registers of the least widths that are safe, but one bit less in one of them."""
    return column.with_widths({name: bits - (name == register) for name, bits in column.widths.items()})


def overflowing_input(column: Column, register: str = "accumulator") -> Counterexample:
    """Codes of an input that overflow a register which is one bit narrower than the column needs, and both results.

    Raises
    ------
    ValueError
        If the column needs no more than the two bits that every register has.
    """
    bits = column.widths[register]
    if bits <= 2:
        raise ValueError(f"the {register} needs 2 bits, and no register has fewer: choose another output channel")
    less = narrower(column, register)
    number, name, high = _first_that_leaves(less)
    unit, tables = less.unit, [one.mantissa for one in grid_ranges(column.a, column.accumulator.alignment)]
    pair = next(pair for pair in unit.pairs if name.endswith(unit.tag(pair)) or not unit.tag(pair))
    table = tables[pair[0]] + (column.a.zero_point if unit.corrects else 0)
    nothing = int(np.flatnonzero(column.a.aligned_table() + (column.a.zero_point if unit.corrects else 0) == 0)[0])
    most = np.where(column.weights.aligned().ravel() * (1 if high else -1) > 0, table.argmax(), table.argmin())
    codes = np.where(np.arange(len(most)) < number * unit.lanes, most, nothing)
    if unit.split is not None and register == "inner":
        codes[: (number - 1) // unit.split.tile * unit.split.tile] = nothing
    row = QuantizedArray(codes.reshape(1, -1), column.a)
    wrapping = [
        replace(one.accumulator, overflow=OverflowMode.WRAP) for one in (column.with_widths(column.widths), less)
    ]
    outputs = tuple(int(matmul(row, column.weights, one).acc[0, 0]) for one in wrapping)
    what = f"{bits} bits hold every sum of these {len(most)} weights, {bits - 1} do not"
    return Counterexample(what, row, column.weights, tuple(wrapping), outputs)


def _added(register: Interval, term: Interval) -> Interval:
    return register[0] + term[0], register[1] + term[1]


def _first_that_leaves(column: Column) -> tuple[int, str, bool]:
    """Steps after which a sum can leave its register for the first time, that register, and whether it is too great."""
    bits = {one.name: one.bits for one in registers(column.unit)}
    if not _fits((column.constant,) * 2, column.accumulator.bits):
        return 0, "acc", column.constant > 0
    for number, one in enumerate(column.steps(), start=1):
        for name, interval in one.sums.items():
            if not _fits(interval, bits[name]):
                return number, name, not _fits((0, interval[1]), bits[name])
    raise RuntimeError(f"no input overflows registers of {column.accumulator}: the bound of this column is not tight")


def _fits(interval: Interval, bits: int) -> bool:
    return -(1 << (bits - 1)) <= interval[0] and interval[1] < 1 << (bits - 1)


def _overflows(column: Column, timeout: float) -> str | None:
    """None if every step keeps the invariant, else values of the registers and a code that break it."""
    unit = column.unit
    if unit.preloads:
        found = _preload_overflows(column, timeout)
        if found is not None:
            return found
    held, one_step = registers(unit), step(unit)
    inside = {when: [f"{_name(when, one)} >= {one.name}_{when}_low & {_name(when, one)} <= {one.name}_{when}_high"
                     for one in held] for when in ("before", "after")}  # fmt: skip
    ends = [Signal(f"{one.name}_{when}_{end}", one.bits, signed=True)
            for one in held for when in ("before", "after") for end in ("low", "high")]  # fmt: skip
    body = lines(
        "\n".join([*(wire(one.named(f"next_{one.name}")) for one in held), "wire overflows;"]),
        instance(one_step, "step"),
        *(wire(Signal(when), " & ".join(f"({text})" for text in texts)) for when, texts in inside.items()),
        "assign ok = ~before | (after & ~overflows);",
    )
    inputs = tuple(port for port in one_step.ports if port.direction == "input")
    ports = (*inputs, *(inp(end.name, end.bits, signed=True) for end in ends), out("ok"))
    both = Module(
        "both", "The invariant of one step.\n\n  ok = ~before | (after & ~overflows)", ports, body, (one_step,)
    )
    bits = {register.name: register.bits for register in held}
    queries = []
    for one in column.steps():
        leaves = not all(_fits(interval, bits[name]) for name, interval in one.sums.items())
        one = _at_the_end(one, bits) if leaves else one
        b_code = sum(code << (lane * unit.b.bits) for lane, code in enumerate(one.codes))
        given = [_set("b_code", b_code, unit.b.bits * unit.lanes)]
        given += [_set("tile_end", one.tile_end, 1)] if unit.split is not None else []
        for register in held:
            for when, intervals in (("before", one.before), ("after", one.after)):
                for end, value in zip(("low", "high"), intervals[register.name], strict=True):
                    given.append(_set(f"{register.name}_{when}_{end}", value, register.bits))
        queries.append(f"sat -prove ok 1 {' '.join(given)} -show-inputs -set-def-inputs both")
        if leaves:  # no further step keeps to its interval, and this one suffices
            queries = queries[-1:]
            break
    return sat(_PREPARED, queries, [both], timeout)


def _at_the_end(one: Step, bits: dict[str, int]) -> Step:
    """The step from the end of the intervals that inputs reach, claiming of it only that no addition overflows."""
    name = next(name for name, interval in one.sums.items() if not _fits(interval, bits[name]))
    end = int(not _fits((0, one.sums[name][1]), bits[name]))
    before = {register: (interval[end],) * 2 for register, interval in one.before.items()}
    return one._replace(before=before, after={name: (-(1 << (b - 1)), (1 << (b - 1)) - 1) for name, b in bits.items()})


def _preload_overflows(column: Column, timeout: float) -> str | None:
    """None if the register takes the constant as it is."""
    unit, constant = column.unit, constant_signal(column.unit)
    module = accumulate(f"{unit.name}_preload", unit.acc, constant, OverflowMode.TRAP)
    body = lines(
        f"{wire(unit.acc.named('sum'))}\nwire overflows;",
        instance(module, "preload", register=f"{unit.acc.bits}'sd0", term="constant"),
        "assign ok = ~overflows & sum == constant;",
    )
    ports = (inp("constant", constant.bits, signed=True), out("ok"))
    both = Module("both", "The constant in the register.\n\n  ok = sum == constant", ports, body, (module,))
    given = _set("constant", column.constant, constant.bits)
    return sat(_PREPARED, [f"sat -prove ok 1 {given} -show-inputs -set-def-inputs both"], [both], timeout)


def _name(when: str, register: Signal) -> str:
    return f"next_{register.name}" if when == "after" else register.name


def _set(name: str, value: int, bits: int) -> str:
    return f"-set {name} {bits}'b{int(value) & ((1 << bits) - 1):0{bits}b}"
