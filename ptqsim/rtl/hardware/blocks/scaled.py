"""The exact sum of a block's products, multiplied by what is integer in both scales, and its exponent."""

from __future__ import annotations

import math
from typing import NamedTuple

from ptqsim.datapath.spec import bits_for
from ptqsim.formats.blocks.block import E8M0_BIAS, E8M0_LARGEST, Block, BlockScale
from ptqsim.formats.floats.named import E4M3
from ptqsim.rtl.hardware.product import product
from ptqsim.rtl.hardware.step import tree
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, instance, lines, out, part_of, wire

_SIGNIFICAND_BITS, _LARGEST_SHIFT = 4, 14


class Scaled(NamedTuple):
    """The value of a pair of blocks, total * 2**exponent, in units of both tensor scales.

    Attributes
    ----------
    block_sum, total, exponent : Signal
        The sum of products, that times both scales' integers, and the exponent.
    integers : tuple of str
        Sides whose scales have an integer besides their power of two.
    constant : int
        What is added to both scales' exponents.
    least, greatest : int
        Range of the exponent.
    """

    block_sum: Signal
    total: Signal
    exponent: Signal
    integers: tuple[str, ...]
    constant: int
    least: int
    greatest: int

    @classmethod
    def of(cls, a: Block, b: Block, products: Unit) -> Scaled:
        """Widths and ranges for two formats, whose elements a unit multiplies."""
        bits = products.term.bits + (a.block - 1).bit_length()
        sides = (("a", a), ("b", b))
        integers = tuple(side for side, fmt in sides if fmt.scale == BlockScale.E4M3)
        constant, spread = 0, 0
        for _, fmt in sides:
            constant += math.frexp(fmt.element.step)[1] - 1
            constant += (math.frexp(E4M3.step)[1] - 1) if fmt.scale == BlockScale.E4M3 else -E8M0_BIAS
            spread += _LARGEST_SHIFT if fmt.scale == BlockScale.E4M3 else E8M0_LARGEST
        wide = bits + _SIGNIFICAND_BITS * len(integers)
        least, greatest = constant, constant + spread
        exponent = Signal("exponent", bits_for(min(least, 0), max(greatest, 0)), signed=True)
        total = Signal("total", wide, signed=True)
        return cls(Signal("block_sum", bits, signed=True), total, exponent, integers, constant, least, greatest)


def scaled_sum(products: Unit, value: Scaled, block: int) -> Module:
    """Codes and scales of a pair of blocks to their total and exponent."""
    one, text, terms = product(products), [], []
    for lane in range(block):
        term = products.term.named(f"term_{lane}")
        wires = {f"{side}_code": part_of(f"{side}_code", lane, fmt.storage_bits) for side, fmt in products.sides}
        text += [wire(term), instance(one, f"product_{lane}", term=term.name, **wires)]
        terms.append(term.to(value.block_sum.bits))
    wide, exponents = value.exponent.bits, []
    scales, factors = [], [value.block_sum.to(value.total.bits)]
    for side in ("a", "b"):
        if side in value.integers:
            scales.append(f"wire {side}_normal = |{side}_scale[6:3];")
            significand = f"{{{value.total.bits - 4}'d0, {side}_normal, {side}_scale[2:0]}}"
            scales.append(wire(Signal(f"{side}_integer", value.total.bits, signed=True), significand))
            scales.append(f"wire [3:0] {side}_shift = {side}_scale[6:3] - 4'({side}_normal);")
            factors.append(f"{side}_integer")
            exponents.append(f"$signed({{{wide - 4}'d0, {side}_shift}})")
        else:
            exponents.append(f"$signed({{{wide - 8}'d0, {side}_scale}})")
    sign = "-" if value.constant < 0 else "+"
    body = lines(
        "\n".join(text),
        wire(value.block_sum, tree(terms)),
        "\n".join(scales),
        f"assign total = {' * '.join(factors)};",
        f"assign exponent = {' + '.join(exponents)} {sign} {wide}'sd{abs(value.constant)};",
    )
    ports = (
        *(inp(f"{side}_code", block * fmt.storage_bits, "codes of elements") for side, fmt in products.sides),
        *(inp(f"{side}_scale", 8, "code of the scale, not that of NaN") for side, _ in products.sides),
        out("total", value.total.bits, "sum of products times what is integer in the scales, exact", signed=True),
        out("exponent", value.exponent.bits, "the value is total * 2^exponent", signed=True),
    )
    integers = "".join(f" * {side}_integer" for side in value.integers)
    header = (
        f"The value of a pair of blocks of {block} elements.\n\n  total = (sum of products){integers}\n"
        f"  exponent = both scales' {sign} {abs(value.constant)}"
    )
    return Module(f"{products.name}_sum", header, ports, body, (one,))
