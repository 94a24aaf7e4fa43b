"""The correction of zero points behind the multiplier: constants, sums along a row, and the rest that they make.

With a = A - z_a and b = B - z_b (docs/accumulation.md):

    sum a * b = (-z_a * sum B + K * z_a * z_b) + sum A * B + (-z_b * sum A)
                 constant = -z_a * sum b                      rest
"""

from __future__ import annotations

from ptqsim.datapath.spec import bits_for
from ptqsim.rtl.hardware.decoder import decoder, value_of
from ptqsim.rtl.hardware.operands import mantissa_range
from ptqsim.rtl.hardware.product import decoded, shift_ports, shifted
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, instance, lines, out, part_of, wire


def constant_signal(unit: Unit) -> Signal:
    """Width and sign of the constant of one register, exact: -z_a times a sum of values of `b`."""
    return _multiple(unit, "constant", -unit.a.zero_point, "b", mantissa_range(unit.b))


def row_sum_signal(unit: Unit) -> Signal:
    """Width and sign of the sum of the integers of `a` that belong to one register, exact."""
    return _multiple(unit, "row_sum", 1, "a", unit.mantissa_range("a"))


def rest_signal(unit: Unit) -> Signal:
    """Width and sign of the rest of one register, exact: -z_b times the sum along the row, and as wide as that."""
    rest = _multiple(unit, "rest", -unit.b.zero_point, "a", unit.mantissa_range("a"))
    return rest._replace(bits=max(rest.bits, row_sum_signal(unit).bits))


def _multiple(unit: Unit, name: str, factor: int, side: str, mantissas: tuple[int, int]) -> Signal:
    """A multiple of the sum of up to `depth` integers of one operand."""
    shift = 0 if unit.deferred else dict(unit.sides)[side].shift
    ends = [factor * unit.depth * (end << shift) for end in mantissas]
    return Signal(name, bits_for(min(0, *ends), max(0, *ends)), signed=True)


def rest_unit(unit: Unit) -> Module:
    """Clocked: the rest of every register, from the codes of `a` alone; all columns of a tile share it."""
    given, rest, tags = integer(unit), rest_signal(unit), [unit.tag(pair) for pair in unit.pairs]
    declared, terms = _lanes(unit, given, len(tags) > 1)
    updates, results = [], []
    for number, tag in enumerate(tags):
        declared += _row_sum(
            unit, tag, [_owned(term, row_sum_signal(unit).bits, len(tags) > 1, number) for term in terms]
        )
        updates.append(f"        row_sum{tag} <= next_row_sum{tag};")
        target = part_of("rest", number, rest.bits) if len(tags) > 1 else "rest"
        results.append(f"assign {target} = {times(f'wide{tag}', -unit.b.zero_point)};")
    ports = (
        inp("clk"),
        inp("enable", 0, "take this step"),
        inp("first", 0, "start from zero: the first step of an output"),
        inp("a_code", unit.lanes * unit.a.bits, "as of the element", fields=unit.lanes),
        *(() if unit.deferred else shift_ports(unit)),
        out("rest", len(tags) * rest.bits, "of every register", signed=True, fields=len(tags)),
    )
    clocked = "\n".join(["always_ff @(posedge clk) begin", "    if (enable) begin", *updates, "    end", "end"])
    header = f"""
        The rest of a correction: what the zero point {unit.b.zero_point} of operand b takes from the products.

          rest = {-unit.b.zero_point} * row_sum, exact
          row_sum = sum over the steps since first of value(a_code)
          {value_of(unit, "a")}

        It is the same for every column. {"Each pair of ranges has its own." if len(tags) > 1 else ""}
    """
    return Module(f"{unit.name}_rest", header, ports, lines("\n".join(declared), clocked, "\n".join(results)), (given,))


def _lanes(unit: Unit, given: Module, divided: bool) -> tuple[list[str], list[Signal]]:
    """Instances of the integers of all lanes, with their ranges if sums are divided by such; and their signals."""
    declared, terms = [], []
    for lane in range(unit.lanes):
        suffix = f"_{lane}" if unit.lanes > 1 else ""
        code = part_of("a_code", lane, unit.a.bits) if unit.lanes > 1 else "a_code"
        flag = {"a_flag": f"a_flag{suffix}"} if divided else {}
        terms.append(integer_signal(unit).named(f"a_value{suffix}"))
        declared += [wire(terms[-1]), *(wire(Signal(name)) for name in flag.values())]
        declared.append(instance(given, f"value{suffix}", a_code=code, a_value=terms[-1].name, **flag))
    return declared, terms


def _row_sum(unit: Unit, tag: str, owned: list[str]) -> list[str]:
    """The sum along a row that belongs to one register: what it starts from, what it holds next, and it in wide."""
    row_sum = row_sum_signal(unit)
    start, held = row_sum.named(f"first{tag}_sum"), row_sum.named(f"row_sum{tag}")
    return [
        f"logic {held.type}{held.name};",
        wire(start, f"first ? {row_sum.bits}'sd0 : {held.name}"),
        wire(row_sum.named(f"next_{held.name}"), " + ".join([start.name, *owned])),
        wire(rest_signal(unit).named(f"wide{tag}"), extended(held, rest_signal(unit).bits)),
    ]


def integer_signal(unit: Unit) -> Signal:
    """Width and sign of what one code of `a` adds to the sum along its row."""
    return (unit.mantissa("a") if unit.deferred else unit.aligned("a"))._replace(name="a_value")


def integer(unit: Unit) -> Module:
    """Combinational: the integer that a code of `a` is, shifted unless that is deferred."""
    mantissa, result, twins = unit.mantissa("a"), integer_signal(unit), bool(unit.twins)
    stages = [decoded(unit, "a")]
    if twins and not unit.deferred:
        stages += [shifted(unit, "a", mantissa, result.named("a_aligned")), "assign a_value = a_aligned;"]
    else:
        stages.append(f"assign a_value = {mantissa.name};")
    ports = (
        inp("a_code", unit.a.bits, f"{unit.a.kind} code"),
        *(() if unit.deferred else shift_ports(unit)),
        *([out("a_flag", 0, "range of the code: 0 is R1, 1 is R2")] if twins and unit.deferred else []),
        out("a_value", result.bits, "what the sum along the row gets", result.signed),
    )
    shift = "" if unit.runtime_shift or not twins else f"\n  m_a = {unit.a.shift}"
    what = "mantissa" if twins and unit.deferred else "value(a_code)"
    header = f"The integer of one code of operand a.\n\n  a_value = {what}\n  {value_of(unit, 'a')}{shift}"
    return Module(f"{unit.name}_integer", header, ports, lines(*stages), (decoder(unit, "a"),) if twins else ())


def times(name: str, factor: int) -> str:
    """A multiple by a constant as sums of shifts, of canonical signed digits: no two neighbors are both nonzero."""
    positive: list[str] = []
    negative: list[str] = []
    place = 0
    while factor:
        if factor & 1:
            digit = 2 - (factor & 3)
            (positive if digit > 0 else negative).append(f"({name} <<< {place})" if place else name)
            factor -= digit
        factor, place = factor >> 1, place + 1
    return (
        (" + ".join(positive) + "".join(f" - {term}" for term in negative))
        .removeprefix(" ")
        .replace("- ", "-", not positive)
    )


def _owned(term: Signal, bits: int, divided: bool, number: int) -> str:
    """The addend of a lane to the sum of a range of `a`: 0 if its code is in the other one."""
    value = extended(term, bits)
    flag = term.name.replace("a_value", "a_flag")
    return f"({'' if number else '~'}{flag} ? {value} : {bits}'sd0)" if divided else value


def extended(signal: Signal, bits: int) -> str:
    """A signed value in `bits` bits: what has no sign gets a zero for one."""
    assert bits >= signal.bits + (not signal.signed)
    return signal.to(bits) if signal.signed else f"$signed({bits}'({signal.name}))"
