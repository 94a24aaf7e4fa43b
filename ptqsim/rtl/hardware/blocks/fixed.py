"""The block shifter in front of a register in fixed point: any shift, cut or rounded, then one addition."""

from __future__ import annotations

from ptqsim.datapath.blocks.registers import Cut, FixedPoint
from ptqsim.rtl.hardware.accumulate import accumulate
from ptqsim.rtl.hardware.blocks.scaled import Scaled
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, instance, lines, out, unused, wire


def next_fixed(name: str, register: FixedPoint, value: Scaled) -> tuple[str, Module]:
    """The statements of a step, and the module that they instantiate: it shifts and adds."""
    module = _shift_and_add(name, register, value)
    flag = {"overflows": "overflows"} if register.overflow == "trap" else {}
    return instance(module, "shift_and_add", register="acc", sum="next_acc", **flag), module


def _shift_and_add(name: str, register: FixedPoint, value: Scaled) -> Module:
    bits, half_even = value.total.bits, register.rounding == Cut.HALF_EVEN
    least, greatest = value.least - register.weight, value.greatest - register.weight
    # Farther to the right every bit is below half of the least one; farther to the left all are beyond the register.
    right = min(bits + half_even, max(0, -least))
    left = min(register.bits + 1, max(0, greatest))
    top = Signal("places", max(value.exponent.bits, register.weight.bit_length() + 1) + 2, signed=True)
    wide = Signal("wide", bits + right + left, signed=True)
    term = Signal("term", bits + left, signed=True)
    amount = Signal("amount", max(1, (right + left).bit_length()))
    sign = "-" if register.weight >= 0 else "+"
    limits = f"{top.bits}'sd"
    low = f"places < -{limits}{right} ? -{limits}{right} : " if -right > least else ""
    high = f"places > {limits}{left} ? {limits}{left} : " if left < greatest else ""
    steps = [
        wire(top, f"{value.exponent.to(top.bits)} {sign} {limits}{abs(register.weight)}"),
        wire(top.named("limited"), f"{low}{high}places"),
        wire(top.named("raised"), f"limited + {limits}{right}"),
        wire(amount, f"raised[{amount.bits - 1}:0]"),
        wire(wide.named("unshifted"), value.total.to(wide.bits)),
        wire(wide, "unshifted <<< amount"),
    ]
    floor = f"wide[{wide.bits - 1}:{right}]"
    if half_even and right:
        sticky = f" & (wide[{right}] | (|wide[{right - 2}:0]))" if right > 1 else f" & wide[{right}]"
        steps += [f"wire up = wide[{right - 1}]{sticky};", wire(term.named("floored"), floor)]
        steps.append(wire(term, f"floored + {{{term.bits - 1}'d0, up}}"))
    else:
        steps.append(wire(term, floor))
        if right:
            steps.append(unused("low_bits", f"wide[{right - 1}:0]"))
    adder = accumulate(f"{name}_accumulate", Signal("acc", register.bits, signed=True), term, register.overflow)
    traps = register.overflow == "trap"
    ports = [
        inp("total", bits, "of a pair of blocks", signed=True),
        inp("exponent", value.exponent.bits, signed=True),
        inp("register", register.bits, f"what the register holds, {register.bits} bits", signed=True),
        out("sum", register.bits, "what the register holds next", signed=True),
        *([out("overflows", 0, "the exact sum does not fit the register")] if traps else []),
    ]
    rounded = "rounded, half to even" if half_even else "rounded down"
    header = f"""
        Block shifter, and one addition into a register of {register.bits} bits, least weight 2^{register.weight}.

          term = total * 2^(exponent - ({register.weight})), {rounded}
          sum = {register.overflow}(register + term)
    """
    body = lines("\n".join(steps), instance(adder, "accumulate"))
    return Module(f"{name}_shift_and_add", header, tuple(ports), body, (adder,))
