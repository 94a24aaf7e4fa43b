"""The processing element: the step, its registers, and what they hold as one number."""

from __future__ import annotations

from ptqsim.rtl.hardware.decoder import value_of
from ptqsim.rtl.hardware.product import shift_ports
from ptqsim.rtl.hardware.step import code_ports, registers, step
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, instance, lines, out, wire


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
        out("result", unit.result.bits, "what the steps taken so far give", signed=True),
        *([out("trapped", 0, "sticky: an addition did not fit since the first step")] if unit.traps else []),
    ]
    declared = [_declared(one) for one in held]
    wires = {one.name: f"start_{one.name}" for one in held}
    updates = [f"{one.name} <= next_{one.name};" for one in held]
    if unit.traps:
        declared.append("wire overflows;")
        updates.append("trapped <= overflows | (trapped & ~first);")
    clocked = "\n".join(f"        {update}" for update in updates)
    body = lines(
        "\n".join(declared),
        instance(one_step, "step", **wires),
        f"always_ff @(posedge clk) begin\n    if (enable) begin\n{clocked}\n    end\nend",
        _combined(unit),
    )
    return Module(f"{unit.name}_element", _header(unit), tuple(ports), body, (one_step,))


def _declared(register: Signal) -> str:
    """A register, what it starts a step from, and what it holds after it."""
    start = wire(register.named(f"start_{register.name}"), f"first ? {register.bits}'sd0 : {register.name}")
    return f"logic {register.type}{register.name};\n{start}\n{wire(register.named(f'next_{register.name}'))}"


def _combined(unit: Unit) -> str:
    """The registers, shifted and summed where they were deferred, in an adder as wide as its result."""
    if not unit.deferred or not unit.twins:
        return f"assign result = {unit.acc.to(unit.result.bits)};"
    text, terms = [], []
    for pair in unit.pairs:
        tag = unit.tag(pair)
        register = unit.acc.named(f"acc{tag}")
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
    modes = {
        "wrap": "kept to the low bits of its register (two's complement)",
        "saturate": "clamped to what its register holds",
        "trap": "kept to the low bits of its register; from the first that does not fit on, trapped is 1",
    }
    overflow = modes[accumulator.overflow]
    if accumulator.inner_overflow != accumulator.overflow:
        overflow = f"{modes[accumulator.inner_overflow]} if that is of a tile, and else {overflow}"
    order = {
        "sequential": "one product after the other, each sum ",
        "tree": f"the exact sum of {unit.lanes} products at a time, each addition of one to the register ",
        "split": "one product after the other into a tile register, and that at tile_end into the register, each sum ",
    }[accumulator.order.kind]
    text = [
        f"Processing element, accumulator of {accumulator.bits} bits.",
        "",
        "  result = sum over the steps since first of value(a_code) * value(b_code)",
        *(f"  {value_of(fmt, side)}" for side, fmt in unit.sides),
        *([] if unit.runtime_shift else [f"  m_{side} = {fmt.shift}" for side, fmt in unit.twins]),
        "",
        f"Order {accumulator.order.kind}: {order}",
        f"{overflow}.",
    ]
    if unit.deferred and unit.twins:
        text += ["", "Alignment deferred: one register per pair of ranges, without shifts; result is their sum, each"]
        text += ["shifted by the m of the ranges R2 in its pair. It is exact: the adder is as wide as its result."]
    if unit.runtime_shift:
        text += ["", "The shifts must not change between the first step of an output and the use of its result."]
    return "\n".join(text)
