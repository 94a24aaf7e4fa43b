"""The designs whose gates are counted, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ptqsim.datapath.blocks.registers import AlignedFloat32, FixedPoint
from ptqsim.datapath.order import Order, Sequential, Tree, parse_order
from ptqsim.datapath.requantization.requantize import Requantizer
from ptqsim.datapath.spec import Accumulator, Alignment, OverflowMode
from ptqsim.errors import unknown_name
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.blocks.named import BLOCKS as NAMED_BLOCKS
from ptqsim.formats.floats.minifloat import Minifloat
from ptqsim.formats.floats.named import E2M1, E2M3, E3M2, E3M4, E4M3
from ptqsim.formats.log2 import Log2
from ptqsim.formats.twin import TwinGELU, TwinSoftmax
from ptqsim.formats.uniform import Uniform
from ptqsim.rtl.hardware.blocks.unit import BlockUnit
from ptqsim.rtl.hardware.correction import rest_unit
from ptqsim.rtl.hardware.element import processing_element
from ptqsim.rtl.hardware.pwlq import PWLQUnit
from ptqsim.rtl.hardware.requantization.channels import ChannelRequantizerUnit
from ptqsim.rtl.hardware.requantization.single import RequantizerUnit
from ptqsim.rtl.hardware.unit import Multiplier, Unit
from ptqsim.rtl.hardware.verilog import Module

DESIGNS: Final = ("uniform", "softmax", "gelu", "gelu_runtime", "gelu_operand", "gelu_deferred", "pwlq")
"""Default of the comparison."""
_SHIFTED_IN: Final = ("", "_runtime", "_operand", "_deferred")
ZERO_POINTS: Final = (
    "unsigned", "asymmetric_operand", "asymmetric_correction", "both_operand", "both_correction", "both_row",
)  # fmt: skip
"""Unsigned left codes; with a zero point; with one of the right operand too; ``both_row`` is the sum along a row."""
COMBINATIONAL: Final = ("requantizer", "requantizer_input", "requantizer_channels")
"""From P bits to k: the multiplier in wires, as an input, and in a table of 64 channels."""
FLOATS: Final[Mapping[str, Minifloat]] = {"e4m3": E4M3, "e3m4": E3M4, "e3m2": E3M2, "e2m3": E2M3, "e2m1": E2M1}
"""Small floats, on both sides; a product of E5M2 codes has 65 bits, for which no unit is generated."""
LOGARITHMS: Final[Mapping[str, int]] = {"log2": 1, "log_sqrt2": 2, "log_root4": 4}
"""Logarithms by the root of their base, with fractions of 8 bits; times uniform codes of the same width."""
BLOCKS: Final = tuple(name for name in NAMED_BLOCKS if name != "mxfp8_e5m2")
"""Blocks times their like, a pair per cycle: into P bits in fixed point, the least of weight `BLOCK_WEIGHT`, or with
``_aligned`` into float32, by aligned sums with `BLOCK_FRACTION` bits. Two of E5M2 sum to more than 63 bits."""
BLOCK_WEIGHT: Final = -16
BLOCK_FRACTION: Final = 14
OF_BLOCKS: Final = (*BLOCKS, *(f"{name}_aligned" for name in BLOCKS))
PLAIN: Final = ("uniform", "pwlq", *ZERO_POINTS, *COMBINATIONAL, *FLOATS, *LOGARITHMS, *OF_BLOCKS)
"""Designs without a shift."""
ALL_DESIGNS: Final = (*PLAIN, *(kind + how for kind in ("softmax", "gelu") for how in _SHIFTED_IN))
"""Legal values."""
CHANNELS: Final = 64
"""Channels of a table of multipliers."""
MULTIPLIER_BITS: Final = 16
"""Width of the multiplier of a requantizer."""


@dataclass(frozen=True, slots=True)
class DesignPoint:
    """One processing element.

    Parameters
    ----------
    design : str
        One of `ALL_DESIGNS`: the kind of the left operand, and where its shift is done or its zero point subtracted, by
        default in wires behind the multiplier; or a part beside processing elements.
    bits : int, optional
        Width k of both operands (PWLQ codes have one more).
    shift : int, optional
        Alignment exponent m; the greatest one if it is an input; not used by the designs of `PLAIN`.
    acc_bits : int, optional
        Width P of the accumulator.
    overflow : OverflowMode or str, optional
        "wrap", "saturate" or "trap"; not used by the designs of `COMBINATIONAL`.
    multiplier : Multiplier or str, optional
        A `Multiplier`, or its name.
    order : str, optional
        Order of the additions, in the text form of `ptqsim.datapath.order`; PWLQ has ``sequential`` only.
    """

    design: str
    bits: int = 8
    shift: int = 4
    acc_bits: int = 24
    overflow: OverflowMode | str = OverflowMode.WRAP
    multiplier: Multiplier | str = Multiplier.BAUGH_WOOLEY
    order: str = Sequential.kind

    @property
    def lanes(self) -> int:
        """Multiply-accumulates per cycle."""
        if self.design in OF_BLOCKS:
            return NAMED_BLOCKS[self.design.removesuffix("_aligned")].block
        order = parse_order(self.order)
        return order.lanes if isinstance(order, Tree) else 1

    def module(self) -> Module:
        """The processing element, a group of multiply-accumulates per cycle, registers and all; or a part beside it.

        Raises
        ------
        ValueError
            If there is no such design, or a parameter is out of its range.
        """
        if self.design not in ALL_DESIGNS:
            raise unknown_name("design", self.design, ALL_DESIGNS)
        order = parse_order(self.order)
        if self.design == "pwlq":
            if order != Sequential():
                raise ValueError(f"the unit of PWLQ adds in sequence, got order {self.order!r}: try sequential")
            unit = PWLQUnit(
                self.bits, self.bits, self.acc_bits, overflow=self.overflow, multiplier=self.multiplier, name="pwlq"
            )
            return unit.module()
        if self.design in COMBINATIONAL:
            return _requantizer(self)
        if self.design in OF_BLOCKS:
            return _of_blocks(self, order)
        if self.design in FLOATS or self.design in LOGARITHMS:
            return _of_codes(self, order)
        return _zero_points(self, order) if self.design in ZERO_POINTS else _shifted(self, order)


def _shifted(point: DesignPoint, order: Order) -> Module:
    """Symmetric codes, uniform or twin, and the place of the shift."""
    kind, _, how = point.design.partition("_")
    left: NumberFormat = {
        "uniform": Uniform(point.bits, 1.0),
        "softmax": TwinSoftmax(point.bits, point.shift),
        "gelu": TwinGELU(point.bits, point.shift, 1.0),
    }[kind]
    alignment = how if how in ("operand", "deferred") else Alignment.PRODUCT
    accumulator = Accumulator(point.acc_bits, point.overflow, order, alignment)
    right = Uniform(point.bits, 1.0)
    return processing_element(
        Unit(left, right, accumulator, runtime_shift=how == "runtime", multiplier=point.multiplier, name=point.design)
    )


def _of_codes(point: DesignPoint, order: Order) -> Module:
    """Codes that have a shift each: small floats times their like, logarithms times uniform codes."""
    left: NumberFormat
    right: NumberFormat
    if point.design in LOGARITHMS:
        left, right = Log2(point.bits, root=LOGARITHMS[point.design]), Uniform(point.bits, 1.0)
    else:
        left = right = FLOATS[point.design]
        if point.bits != left.bits:
            raise ValueError(f"{point.design} has codes of {left.bits} bits, got {point.bits}: give that width")
    accumulator = Accumulator(point.acc_bits, point.overflow, order)
    return processing_element(Unit(left, right, accumulator, multiplier=point.multiplier, name=point.design))


def _of_blocks(point: DesignPoint, order: Order) -> Module:
    """A pair of blocks per cycle; the float of an aligned sum has neither a width nor an overflow mode of its own."""
    fmt = NAMED_BLOCKS[point.design.removesuffix("_aligned")]
    if (point.bits, order) != (fmt.element.bits, Sequential()):
        raise ValueError(
            f"{point.design} has elements of {fmt.element.bits} bits, and adds pairs of blocks in sequence, got "
            f"{point.bits} bits and order {point.order!r}: give that width, and sequential"
        )
    register: FixedPoint | AlignedFloat32 = AlignedFloat32(BLOCK_FRACTION)
    if point.design in BLOCKS:
        register = FixedPoint(point.acc_bits, BLOCK_WEIGHT, point.overflow)
    return BlockUnit(fmt, fmt, register, point.multiplier, point.design).module()


def _zero_points(point: DesignPoint, order: Order) -> Module:
    """Unsigned codes times signed ones; zero points at seven sixteenths of the range of `a` and near 0 of `b`."""
    kind, _, how = point.design.partition("_")
    left = Uniform(point.bits, 1.0, signed=False, zero_point=0 if kind == "unsigned" else (7 << point.bits) >> 4)
    right = Uniform(point.bits, 1.0, zero_point=-3 if kind == "both" else 0)
    place = "operand" if how in ("", "operand") else "correction"
    accumulator = Accumulator(point.acc_bits, point.overflow, order, zero_point=place)
    unit = Unit(left, right, accumulator, multiplier=point.multiplier, name=point.design)
    return rest_unit(unit) if how == "row" else processing_element(unit)


def _requantizer(point: DesignPoint) -> Module:
    """From P bits to signed codes of k; the factors of the channels fall from one to a fifth of it, evenly in log."""
    largest = 0.77 * 2.0 ** (point.bits - point.acc_bits + 2)
    channels = tuple(Requantizer.of(largest * 5 ** (-i / CHANNELS), MULTIPLIER_BITS) for i in range(CHANNELS))
    style = point.multiplier
    if point.design == "requantizer":
        return RequantizerUnit(channels[CHANNELS // 3], point.acc_bits, point.bits, None, style, point.design).module()
    unit = ChannelRequantizerUnit(channels, point.acc_bits, point.bits, None, style, point.design)
    return unit.core() if point.design == "requantizer_input" else unit.module()
