"""The processing element: the step, its registers, and what they hold as one number."""

from __future__ import annotations

from ptqsim.rtl.hardware.accumulate import accumulate
from ptqsim.rtl.hardware.correction import constant_signal, rest_signal
from ptqsim.rtl.hardware.decoder import value_of
from ptqsim.rtl.hardware.product import shift_ports
from ptqsim.rtl.hardware.step import code_ports, registers, step
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module, Port, Signal, inp, instance, lines, out, part_of, wire


def processing_element(unit: Unit) -> Module:
    """Clocked: one step at every rising edge with enable."""
    one_step, held = step(unit), registers(unit)
    ports = [
        inp("clk"),
        inp("enable", 0, "take this step"),
        inp("first", 0, "start from zero: the first step of an output"),
        *([inp("tile_end", 0, "last step of a tile")] if unit.split else []),
        *code_ports(unit),
        *shift_ports(unit),
        *constant_ports(unit, "constant", "where the first step starts from"),
        *([rest_port(unit)] if unit.adds_rest else []),
        out("result", unit.result.bits, "what the steps taken so far give", signed=True),
        *([out("trapped", 0, "sticky: an addition did not fit since the first step")] if unit.traps else []),
    ]
    preloads, preload_flags, preload = _preloads(unit)
    last, rest_flags, add_rest = _rests(unit)
    declared = [_declared(one, unit.preloads) for one in held]
    wires = {one.name: f"start_{one.name}" for one in held}
    updates = [f"{one.name} <= next_{one.name};" for one in held]
    if unit.traps:
        sticky, start = ("sticky" if rest_flags else "trapped"), " | ".join(preload_flags)
        declared += ["wire overflows;", *(["logic sticky;"] if rest_flags else [])]
        before = f"(first ? {start} : {sticky})" if start else f"({sticky} & ~first)"
        updates.append(f"{sticky} <= overflows | {before};")
        if rest_flags:
            last = lines(last, f"assign trapped = {' | '.join([sticky, *rest_flags])};")
    clocked = "\n".join(f"        {update}" for update in updates)
    body = lines(
        preloads,
        "\n".join(declared),
        instance(one_step, "step", **wires),
        f"always_ff @(posedge clk) begin\n    if (enable) begin\n{clocked}\n    end\nend",
        last,
        _combined(unit),
    )
    return Module(f"{unit.name}_element", _header(unit), tuple(ports), body, (one_step, *preload, *add_rest))


def constant_ports(unit: Unit, name: str, meaning: str, columns: int = 1) -> tuple[Port, ...]:
    """The input of the constants, one for every register of every column, if zero points are corrected by such."""
    bits, fields = constant_signal(unit).bits, columns * len(unit.pairs)
    return (inp(name, fields * bits, meaning, signed=True, fields=fields),) if unit.preloads else ()


def rest_port(unit: Unit) -> Port:
    """The input of the rest, one for every register."""
    bits, fields = rest_signal(unit).bits, len(unit.pairs)
    return inp("rest", fields * bits, "what is added at the end", signed=True, fields=fields)


def _preloads(unit: Unit) -> tuple[str, list[str], tuple[Module, ...]]:
    """The values that registers start from where zero points are corrected: text, overflow flags and module."""
    if not unit.preloads:
        return "", [], ()
    module = accumulate(f"{unit.name}_preload", unit.acc, constant_signal(unit), unit.accumulator.overflow)
    return _corrections(unit, module, "preload", "constant", f"{unit.acc.bits}'sd0")


def _rests(unit: Unit) -> tuple[str, list[str], tuple[Module, ...]]:
    """Registers with the rest of a correction added: text, overflow flags and module."""
    if not unit.adds_rest:
        return "", [], ()
    module = accumulate(f"{unit.name}_add_rest", unit.acc, rest_signal(unit), unit.accumulator.overflow)
    return _corrections(unit, module, "corrected", "rest", "")


def _corrections(
    unit: Unit, module: Module, name: str, port: str, register: str
) -> tuple[str, list[str], tuple[Module, ...]]:
    """One addition for every register; without `register` it is to what the registers hold."""
    text, flags = [], []
    bits = {"constant": constant_signal, "rest": rest_signal}[port](unit).bits
    for number, pair in enumerate(unit.pairs):
        tag = unit.tag(pair)
        text.append(wire(unit.acc.named(f"{name}{tag}")))
        if unit.traps:
            flags.append(f"overflows_{port}{tag}")
            text.append(f"wire {flags[-1]};")
        term = part_of(port, number, bits) if len(unit.pairs) > 1 else port
        wires = {"register": register or f"acc{tag}", "term": term, "sum": f"{name}{tag}"}
        text.append(instance(module, f"{name}{tag}", **wires, **({"overflows": flags[-1]} if unit.traps else {})))
    return "\n".join(text), flags, (module,)


def _declared(register: Signal, preloads: bool) -> str:
    """A register, what it starts a step from, and what it holds after it."""
    zero = f"{register.bits}'sd0"
    given = register.name.replace("acc", "preload") if preloads and register.name.startswith("acc") else zero
    start = wire(register.named(f"start_{register.name}"), f"first ? {given} : {register.name}")
    return f"logic {register.type}{register.name};\n{start}\n{wire(register.named(f'next_{register.name}'))}"


def _combined(unit: Unit) -> str:
    """The registers, shifted and summed where they were deferred, in an adder as wide as its result."""
    held = unit.acc.named("corrected") if unit.adds_rest else unit.acc
    if not unit.deferred or not unit.twins:
        return f"assign result = {held.to(unit.result.bits)};"
    text, terms = [], []
    for pair in unit.pairs:
        tag = unit.tag(pair)
        register = held.named(f"{held.name}{tag}")
        shift = _shift(unit, pair)
        if shift:
            wide = unit.result.named(f"wide{tag}")
            text.append(wire(wide, register.to(unit.result.bits)))
            terms.append(f"({wide.name} <<< {shift})")
        else:
            terms.append(register.to(unit.result.bits))
    return lines("\n".join(text), f"assign result = {' + '.join(terms)};")


def _shift(unit: Unit, pair: tuple[int, int]) -> str:
    shifted = [(side, fmt) for (side, fmt), number in zip(unit.sides, pair, strict=True) if number]
    if not shifted:
        return ""
    if not unit.runtime_shift:
        total = sum(fmt.shift for _, fmt in shifted)
        return str(total) if total else ""
    inputs = {signal.name: signal for signal in unit.shift_inputs}
    bits = max(inputs[f"m_{side}"].bits for side, _ in shifted) + (len(shifted) - 1)
    total_shift = " + ".join(inputs[f"m_{side}"].to(bits) for side, _ in shifted)
    return f"({total_shift})" if len(shifted) > 1 else f"m_{shifted[0][0]}"


def _header(unit: Unit) -> str:
    accumulator = unit.accumulator
    overflow = {
        "wrap": "kept to the low bits of its register (two's complement)",
        "saturate": "clamped to what its register holds",
        "trap": "kept to the low bits of its register; from the first that does not fit on, trapped is 1",
    }[accumulator.overflow]
    order = {
        "sequential": "one product after the other, each sum ",
        "tree": f"the exact sum of {unit.lanes} products at a time, each addition of one to the register ",
        "split": "one product after the other into a tile register, and that at tile_end into the register, each sum ",
    }[accumulator.order.kind]
    text = [
        f"Processing element, accumulator of {accumulator.bits} bits.",
        "",
        "  result = sum over the steps since first of value(a_code) * value(b_code)",
        *(f"  {value_of(unit, side)}" for side, _ in unit.sides),
        *([] if unit.runtime_shift else [f"  m_{side} = {fmt.shift}" for side, fmt in unit.twins]),
        "",
        f"Order {accumulator.order.kind}: {order}",
        f"{overflow}.",
    ]
    if accumulator.inner_overflow != accumulator.overflow:
        text += ["", f"The tile register has an overflow mode of its own: {accumulator.inner_overflow}."]
    if unit.corrects:
        text += ["", "Zero points are corrected for, so that result stands for the values less zero points:"]
        text += ["registers start from overflow(0 + constant)."] if unit.preloads else []
        text += ["The result is overflow(register + rest); registers keep what they hold."] if unit.adds_rest else []
    if unit.deferred and unit.twins:
        text += ["", "Alignment deferred: one register per pair of ranges, without shifts; result is their sum, each"]
        text += ["shifted by the m of the ranges R2 in its pair. It is exact: the adder is as wide as its result."]
    if unit.runtime_shift:
        text += ["", "The shifts must not change between the first step of an output and the use of its result."]
    return "\n".join(text)
