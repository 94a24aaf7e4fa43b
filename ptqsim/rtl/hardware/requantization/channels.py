"""The requantizer with a multiplier and a shift for every channel, from a table in the circuit or from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ptqsim.common.validation import checked_type
from ptqsim.datapath.requantization.factor import requantization_factor
from ptqsim.datapath.requantization.requantize import Requantizer, RequantizeRounding
from ptqsim.formats.uniform import Uniform
from ptqsim.rtl.hardware.multiplier import multiplier
from ptqsim.rtl.hardware.requantization.parts import (
    WORDS,
    acc_ports,
    checked_multiplier,
    clamp,
    clamped,
    code_port,
    number,
    rounds_twice,
    total_of,
)
from ptqsim.rtl.hardware.requantization.single import divided
from ptqsim.rtl.hardware.unit import Multiplier
from ptqsim.rtl.hardware.verilog import Module, Port, Signal, inp, instance, lines, out, wire

MAX_CHANNELS = 1 << 12


@dataclass(frozen=True, slots=True)
class ChannelRequantizerUnit:
    """A requantizer to `Uniform` codes with a multiplier and a shift for every channel.

    Parameters
    ----------
    requantizers : sequence of Requantizer
        Multiplier and shift of every channel, 1 to 4096 of them; all of one rounding.
    acc_bits, bits, bias_bits, multiplier, name, signed, zero_point : optional
        As of `RequantizerUnit`.

    Raises
    ------
    ValueError
        If a parameter is out of its range, the roundings are not one, or ``tflite_double`` meets sums that leave its
        int32.
    """

    requantizers: tuple[Requantizer, ...]
    acc_bits: int = 32
    bits: int = 8
    bias_bits: int | None = None
    multiplier: Multiplier | str = Multiplier.BEHAVIORAL
    name: str = "ptqsim"
    signed: bool = True
    zero_point: int = 0

    def __post_init__(self) -> None:
        given: Sequence[object] = self.requantizers
        own = tuple(replace(checked_type("requantizers", one, Requantizer)) for one in given)
        object.__setattr__(self, "requantizers", own)
        if not 1 <= len(own) <= MAX_CHANNELS:
            raise ValueError(f"a table of {len(own)} channels: legal are 1 to {MAX_CHANNELS}")
        roundings = sorted({str(one.rounding) for one in own})
        if len(roundings) > 1:
            raise ValueError(f"the channels have the roundings {', '.join(roundings)}; a unit has one: take it for all")
        object.__setattr__(self, "multiplier", checked_multiplier(self, own))

    @classmethod
    def of(
        cls,
        scale: ArrayLike,
        number_format: Uniform,
        acc_bits: int = 32,
        rounding: RequantizeRounding | str = RequantizeRounding.HALF_AWAY,
        multiplier_bits: int = 31,
        bias_bits: int | None = None,
        multiplier: Multiplier | str = Multiplier.BEHAVIORAL,
        name: str = "ptqsim",
    ) -> ChannelRequantizerUnit:
        """The unit that gives what `pq.requantize` gives, of accumulators [..., channels].

        Parameters
        ----------
        scale : array_like
            [channels]: real values of one unit of the accumulators, such as `MatmulResult.scale`.
        number_format : Uniform
            Format of the codes, with one scale or one for every channel.
        acc_bits : int, optional
            As of `RequantizerUnit`.
        rounding, multiplier_bits : optional
            As of `Requantizer.of`.
        bias_bits, multiplier, name : optional
            As of `RequantizerUnit`.
        """
        count = np.broadcast_shapes(np.shape(scale), np.shape(number_format.steps), (1,))[0]
        factors = requantization_factor(np.broadcast_to(np.asarray(scale), (count,)), number_format, (count,))
        each = tuple(
            Requantizer.of(float(one), multiplier_bits, rounding) for one in np.broadcast_to(factors, (count,))
        )
        target = number_format.bits, bias_bits, multiplier, name, number_format.signed, number_format.zero_point
        return cls(each, acc_bits, *target)

    @property
    def rounding(self) -> str:
        """The rounding of all channels."""
        return self.requantizers[0].rounding

    @property
    def shifts(self) -> tuple[tuple[int, int], ...]:
        """Shift to the left and to the right of every channel, beside the fixed one of two roundings."""
        fixed = 31 if rounds_twice(self.requantizers[0]) else 0
        return tuple((max(0, fixed - one.shift), max(0, one.shift - fixed)) for one in self.requantizers)

    @property
    def fields(self) -> tuple[Signal, ...]:
        """Fields of the table, for each channel: factor, right shift, and left shift if there is one."""
        left, right = (max(pair[side] for pair in self.shifts) for side in (0, 1))
        factor = Signal("factor", max(one.multiplier for one in self.requantizers).bit_length())
        every = (factor, Signal("right", max(1, right.bit_length())), Signal("left", left.bit_length()))
        return every if left else every[:2]

    def core(self) -> Module:
        """The combinational module whose factor and shifts are inputs: for a table elsewhere, in a memory say."""
        return _core(self)

    def module(self) -> Module:
        """The combinational module with the table in it: `channel` is an input."""
        return _module(self)


def _module(unit: ChannelRequantizerUnit) -> Module:
    core, table, count = _core(unit), _table(unit), len(unit.requantizers)
    wires = {"bias": "bias"} if unit.bias_bits is not None else {}
    body = lines(
        "\n".join(wire(field) for field in unit.fields),
        instance(table, "table"),
        instance(core, "rescale", **wires),
    )
    bias = "" if unit.bias_bits is None else " + bias"
    header = f"""
        Requantizer of {count} channels, rounding {unit.rounding}: an accumulator of {unit.acc_bits} bits becomes a
        uniform code of {unit.bits} bits.

          code = {clamp(f"round((acc{bias}) * multiplier[channel] / 2^shift[channel])", unit)}
          round: {WORDS[unit.rounding]}
    """
    ports = (
        _channel(unit), *acc_ports(unit.acc_bits, unit.bias_bits), code_port(unit.bits, unit.signed)
    )  # fmt: skip
    return Module(f"{unit.name}_channel_requantizer", header, ports, body, (table, core))


def _channel(unit: ChannelRequantizerUnit) -> Port:
    count = len(unit.requantizers)
    return inp("channel", max(1, (count - 1).bit_length()), f"0 to {count - 1}")


def _table(unit: ChannelRequantizerUnit) -> Module:
    """The table as a case of literals, which tools map to logic or to a memory."""
    bits = _channel(unit).signal.bits
    rows = []
    for number_of, (one, (left, right)) in enumerate(zip(unit.requantizers, unit.shifts, strict=True)):
        values = {"factor": one.multiplier, "right": right, "left": left}
        set_all = " ".join(f"{field.name} = {field.bits}'d{values[field.name]};" for field in unit.fields)
        last = number_of == len(unit.requantizers) - 1
        label = "default" if last else f"{bits}'d{number_of}"
        rows.append(f"        {label}: begin {set_all} end")
    moved, sign = ("left - right", "-") if len(unit.fields) == 3 else ("right", "")
    body = "\n".join(["always_comb begin", "    case (channel)", *rows, "    endcase", "end"])
    header = f"""
        The multiplier and the shift of every channel: multiplier / 2^shift is its real factor, nearly.

          factor = multiplier[channel], {moved} = {sign}shift[channel]

        {"Beside the shift by 31 of the first rounding." if rounds_twice(unit.requantizers[0]) else ""}
    """
    ports = (_channel(unit), *(out(field.name, field.bits) for field in unit.fields))
    return Module(f"{unit.name}_factors", header, ports, body)


def _core(unit: ChannelRequantizerUnit) -> Module:
    total, added = total_of(unit.acc_bits, unit.bias_bits)
    factor, right, *lefts = unit.fields
    product = Signal("product", total.bits + factor.bits, signed=True)
    times = multiplier(f"{unit.name}_rescale_multiplier", unit.multiplier, total, factor, product.bits)
    stages, given = [wire(product) + "\n" + instance(times, "multiplier", x="total", y="factor")], product
    if lefts:
        given = Signal("scaled", product.bits + max(left for left, _ in unit.shifts), signed=True)
        stages.append(wire(given, f"{product.to(given.bits)} <<< left"))
    rounding = unit.rounding
    if rounds_twice(unit.requantizers[0]):
        text, given = divided(given, 31, RequantizeRounding.HALF_UP, "high")
        stages, rounding = [*stages, text], RequantizeRounding.HALF_AWAY
    greatest = max(shift for _, shift in unit.shifts)
    text, quotient = _divided(given, right, greatest, rounding)
    bias = "" if unit.bias_bits is None else " + bias"
    moved = "left - right" if lefts else "-right"
    value = f"round((acc{bias}) * factor * 2^({moved}{' - 31' if rounds_twice(unit.requantizers[0]) else ''}))"
    header = f"""
        Requantizer whose factor and shift are inputs, rounding {unit.rounding}.

          code = {clamp(value, unit)}
          round: {WORDS[unit.rounding]}

        right is {greatest} at most{", and 0 where left is not" if lefts else ""}.
    """
    fields = [inp(field.name, field.bits) for field in unit.fields]
    ports = (*acc_ports(unit.acc_bits, unit.bias_bits), *fields, code_port(unit.bits, unit.signed))
    body = lines(added, *stages, text, clamped(quotient, unit.bits, unit.signed, unit.zero_point))
    return Module(f"{unit.name}_rescale", header, ports, body, (times,))


def _divided(given: Signal, right: Signal, greatest: int, rounding: str) -> tuple[str, Signal]:
    """``given / 2**right``, rounded as by `divided`: what is added depends on the shift, and is 0 without one."""
    bits = max(given.bits, greatest) + 1
    wide, step, half, nudge, nudged, quotient = (
        Signal(name, bits, signed=True) for name in ("wide", "step", "half", "nudge", "nudged", "quotient")
    )
    sign, one = f"{given.name}[{given.bits - 1}]", number(1, bits)
    declared = [wire(wide, given.to(bits)), wire(step, f"{one} <<< {right.name}")]
    if rounding == RequantizeRounding.TRUNCATE:
        return lines(declared[0], wire(quotient, f"wide >>> {right.name}")), quotient
    if rounding != RequantizeRounding.TOWARD_ZERO:
        declared.append(wire(half, "step >> 1"))
    if rounding in (RequantizeRounding.HALF_AWAY, RequantizeRounding.HALF_EVEN):
        declared.append(wire(Signal("divides"), f"|{right.name}"))
    less = f"half - {bits}'(divides)"
    value = {
        RequantizeRounding.TOWARD_ZERO: f"{sign} ? step - {one} : {number(0, bits)}",
        RequantizeRounding.HALF_UP: "half",
        RequantizeRounding.TFLITE_SINGLE: "half",
        RequantizeRounding.HALF_AWAY: f"{sign} ? {less} : half",
        RequantizeRounding.HALF_EVEN: f"(|(wide & step)) ? half : {less}",
    }[RequantizeRounding.of(rounding)]
    text = lines(
        "\n".join(declared),
        "\n".join([wire(nudge, value), wire(nudged, "wide + nudge"), wire(quotient, f"nudged >>> {right.name}")]),
    )
    return text, quotient
