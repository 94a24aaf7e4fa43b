"""The register in float32 that takes several values at once, aligned to the greatest of them and truncated."""

from __future__ import annotations

from ptqsim.datapath.blocks.registers import AlignedFloat32
from ptqsim.rtl.hardware.blocks.scaled import Scaled
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, instance, lines, out, wire

_EXPONENT_BITS = 12
"""Of every exponent on the way: both scales, both steps and 64 fraction bits are far from its ends."""


def normalizer(name: str, bits: int) -> Module:
    """A magnitude shifted to the left until its highest bit is the first, and by how many places."""
    stages = [1 << k for k in reversed(range((bits - 1).bit_length()))]
    text, given, flags = [], "magnitude", []
    for number, size in enumerate(stages):
        flag, after = f"empty_{size}", f"stage_{number}"
        text.append(f"wire {flag} = ~(|{given}[{bits - 1}:{bits - size}]);")
        text.append(wire(Signal(after, bits), f"{flag} ? {{{given}[{bits - size - 1}:0], {size}'d0}} : {given}"))
        given = after
        flags.append(flag)
    count = max(1, len(stages))
    text += [
        f"assign normalized = {given};",
        f"assign places = {'{' + ', '.join(flags) + '}' if flags else '1' + chr(39) + 'd0'};",
    ]
    ports = (
        inp("magnitude", bits),
        out("normalized", bits, "its highest bit is 1, but for zero"),
        out("places", count, "by which it was shifted"),
    )
    header = "Leading zeros are shifted out.\n\n  normalized = magnitude << places"
    return Module(name, header, ports, "\n".join(text))


def next_float(name: str, register: AlignedFloat32, value: Scaled) -> tuple[str, Module]:
    """The statements of a step, and the module that they instantiate: it aligns, adds and rounds toward zero."""
    module = _aligned_sum(name, register, value)
    wires = {"register": "acc", "sum": "next_acc"}
    return instance(module, "aligned_sum", **wires), module


def _aligned_sum(name: str, register: AlignedFloat32, value: Scaled) -> Module:
    count, f = register.blocks, register.fraction_bits
    suffixes = [f"_{i}" for i in range(count)] if count > 1 else [""]
    of_value, of_float = normalizer(f"{name}_of_value", value.total.bits), normalizer(f"{name}_of_float", 24)
    text = [_float_parts(), _normalized(of_float, "register", "register_magnitude", 24, "register_exponent")]
    for suffix in suffixes:
        text.append(_value_parts(value, suffix))
        text.append(
            _normalized(of_value, f"value{suffix}", f"magnitude{suffix}", value.total.bits, f"exponent{suffix}")
        )
    names = [("register", 24), *((f"value{suffix}", value.total.bits) for suffix in suffixes)]
    text.append(_greatest([one for one, _ in names]))
    total = Signal("total_sum", f + 2 + count.bit_length(), signed=True)
    text += [_cut(one, bits, f) for one, bits in names]
    added = " + ".join(Signal(f"{one}_term", f + 2, signed=True).to(total.bits) for one, _ in names)
    text.append(wire(total, added))
    of_sum = normalizer(f"{name}_of_sum", total.bits)
    text.append(_as_float(of_sum, total.bits, f))
    ports = (
        *(inp(f"total{suffix}", value.total.bits, "of a pair of blocks", signed=True) for suffix in suffixes),
        *(inp(f"exponent{suffix}", value.exponent.bits, signed=True) for suffix in suffixes),
        inp("register", 32, "a float32"),
        out("sum", 32, "the next float32"),
    )
    header = f"""
        Aligned sum of a float32 and {count} value{"s" if count > 1 else ""} of blocks.

          E = the greatest exponent of any of them that is not zero
          sum = float32, toward zero, of the sum of trunc(each / 2^(E - {f})) * 2^(E - {f})
    """
    return Module(f"{name}_aligned_sum", header, ports, lines(*text), (of_value, of_float, of_sum))


def _float_parts() -> str:
    """Sign, significand and exponent of the least bit of the register."""
    x = _EXPONENT_BITS
    return f"""
        wire register_normal = |register[30:23];
        wire [23:0] register_magnitude = {{register_normal, register[22:0]}};
        wire register_negative = register[31];
        wire [7:0] register_shift = register[30:23] - 8'(register_normal);
        wire signed [{x - 1}:0] register_exponent = $signed({{{x - 8}'d0, register_shift}}) - {x}'sd149;
    """


def _value_parts(value: Scaled, suffix: str) -> str:
    bits = value.total.bits
    return f"""
        wire value{suffix}_negative = total{suffix}[{bits - 1}];
        wire [{bits - 1}:0] magnitude{suffix} = value{suffix}_negative ? -total{suffix} : total{suffix};
    """


def _normalized(module: Module, name: str, magnitude: str, bits: int, exponent: str) -> str:
    """The normalized magnitude of a term, True if it is not zero, and the exponent of its highest bit."""
    x = _EXPONENT_BITS
    places = next(port.signal.bits for port in module.outputs if port.name == "places")
    own = Signal(f"{name}_normalized", bits)
    return "\n".join(
        [
            wire(own),
            wire(Signal(f"{name}_places", places)),
            instance(module, name, magnitude=magnitude, normalized=own.name, places=f"{name}_places"),
            f"wire {name}_counts = {own.name}[{bits - 1}];",
            f"wire signed [{x - 1}:0] {name}_top = {exponent} + {x}'sd{bits - 1} "
            f"- $signed({{{x - places}'d0, {name}_places}});",
        ]
    )


def _greatest(names: list[str]) -> str:
    """The greatest exponent of those that count; any if none does."""
    x, text, before = _EXPONENT_BITS, [], ""
    for number, name in enumerate(names):
        taken = (
            f"{name}_top"
            if not number
            else f"{name}_counts & (~{before}_any | ({name}_top > {before})) ? {name}_top : {before}"
        )
        flag = f"{name}_counts" if not number else f"{name}_counts | {before}_any"
        after = f"greatest_{number}"
        text += [wire(Signal(after, x, signed=True), taken), f"wire {after}_any = {flag};"]
        before = after
    text.append(wire(Signal("greatest", x, signed=True), before))
    return "\n".join(text)


def _cut(name: str, bits: int, f: int) -> str:
    """A term in units of 2^(greatest - F), toward zero, with its sign."""
    x = _EXPONENT_BITS
    head = f"{name}_normalized[{bits - 1}:{bits - 1 - f}]" if bits > f else f"{{{name}_normalized, {f + 1 - bits}'d0}}"
    head = f"{name}_normalized" if bits == f + 1 else head
    places = f.bit_length()
    return "\n".join(
        [
            f"wire signed [{x - 1}:0] {name}_below = greatest - {name}_top;",
            f"wire [{f}:0] {name}_head = {head};",
            f"wire {name}_far = {name}_below > {x}'sd{f};",
            f"wire [{f}:0] {name}_cut = {name}_far ? {f + 1}'d0 : {name}_head >> {name}_below[{places - 1}:0];",
            f"wire signed [{f + 1}:0] {name}_whole = {{1'b0, {name}_cut}};",
            f"wire signed [{f + 1}:0] {name}_term = {name}_negative ? -{name}_whole : {name}_whole;",
        ]
    )


def _as_float(module: Module, bits: int, f: int) -> str:
    """The float32 next to the sum on the side of zero: subnormal where it is small, the largest where it is large."""
    x = _EXPONENT_BITS
    significand = f"sum_normalized[{bits - 1}:{bits - 24}]" if bits > 24 else f"{{sum_normalized, {24 - bits}'d0}}"
    significand = "sum_normalized" if bits == 24 else significand
    return "\n".join(
        [
            f"wire sum_negative = total_sum[{bits - 1}];",
            f"wire [{bits - 1}:0] sum_magnitude = sum_negative ? -total_sum : total_sum;",
            f"wire signed [{x - 1}:0] sum_exponent = greatest - {x}'sd{f};",
            _normalized(module, "sum", "sum_magnitude", bits, "sum_exponent"),
            f"wire [23:0] significand = {significand};",
            f"wire signed [{x - 1}:0] lacking = -{x}'sd126 - sum_top;",
            f"wire is_small = lacking > {x}'sd0;",
            f"wire [23:0] small = lacking > {x}'sd23 ? 24'd0 : significand >> lacking[4:0];",
            f"wire signed [{x - 1}:0] biased = sum_top + {x}'sd127;",
            f"wire is_large = sum_top > {x}'sd127;",
            "wire [30:0] usual = is_small ? {7'd0, small} : {biased[7:0], significand[22:0]};",
            "wire [30:0] finite = is_large ? 31'h7f7fffff : usual;",
            "assign sum = sum_counts & (|finite) ? {sum_negative, finite} : 32'd0;",
        ]
    )
