"""The datapath of a unit as a picture: every box and width from the specification."""

from __future__ import annotations

from collections.abc import Sequence

from ptqsim.datapath.spec import Alignment
from ptqsim.rtl.drawing import BOX, FLAG, GAP, HEIGHT, MARGIN, ROW, Box, Place, arrow, document, path, place_of, row_of
from ptqsim.rtl.hardware.unit import Unit


def svg(unit: Unit) -> str:
    """The picture, as SVG: operands on the left, the result on the right, flags as dashed lines."""
    operands = [_operand(unit, side) for side in ("a", "b")]
    middle = _middle(unit)
    chains = _registers(unit)
    column = max(map(len, operands))
    drawn = [line for row, boxes in enumerate(operands) for line in row_of(boxes, 0, row)]
    drawn += row_of(middle, column, 0.5)
    drawn += [
        arrow((len(chain) - 1, row), (column, 0.5), chain[-1].bits, enter=(-11, 11)[row])
        for row, chain in enumerate(operands)
    ]
    first = column + len(middle)
    rows = [0.5] if len(chains) == 1 else [i * 1.0 for i in range(len(chains))]
    last = first + max(map(len, chains))
    for number, (chain, row) in enumerate(zip(chains, rows, strict=True)):
        drawn += row_of(chain, first, row)
        drawn.append(arrow((first - 1, 0.5), (first, row), middle[-1].bits))
        enter = 0 if len(chains) == 1 else int(32 * (number / (len(chains) - 1) - 0.5))
        drawn.append(arrow((last - 1, row), (last, 0.5), chain[-1].bits, enter=enter))
    drawn += row_of([_result(unit)], last, 0.5)
    bottom = MARGIN + int(max(1.0, *rows) * ROW) + HEIGHT
    for side, _ in unit.twins:
        drawn.append(_flag(side, _decided(unit, side, column, middle, first, rows), bottom))
    width, height = (last + 1) * (BOX + GAP) - GAP + 2 * MARGIN, bottom + MARGIN
    return document(width, height, drawn)


def _decided(unit: Unit, side: str, column: int, middle: Sequence[Box], first: int, rows: Sequence[float]) -> Place:
    """The box that the flag of an operand decides about: its shift, or the registers where there is none."""
    if unit.accumulator.alignment == Alignment.OPERAND:
        return 2, float(side == "b")
    if unit.deferred:
        return first, rows[-1] if side == "b" else rows[0]
    return column + next(i for i, box in enumerate(middle) if box.note == f"if {side} in R2"), 0.5


def _operand(unit: Unit, side: str) -> list[Box]:
    number_format, mantissa = dict(unit.sides)[side], unit.mantissa(side)
    boxes = [Box(f"{side}_code", number_format.kind, "port", number_format.bits)]
    if side in dict(unit.twins):
        boxes.append(Box("decoder", "flag, mantissa", "part", mantissa.bits))
        if unit.accumulator.alignment == Alignment.OPERAND:
            boxes.append(Box(f"<< {_amount(unit, side)}", "if in R2", "shift", unit.aligned(side).bits))
    return boxes


def _middle(unit: Unit) -> list[Box]:
    bits = unit.term.bits if unit.accumulator.alignment == Alignment.OPERAND else unit.product.bits
    boxes = [Box("multiplier", f"{unit.lanes} lanes" if unit.lanes > 1 else "exact", "part", bits)]
    if unit.accumulator.alignment == Alignment.PRODUCT:
        for side, number_format in unit.twins:
            bits += number_format.shift
            boxes.append(Box(f"<< {_amount(unit, side)}", f"if {side} in R2", "shift", bits))
    if unit.lanes > 1:
        boxes.append(Box("adder tree", "exact", "part", unit.group_sum.bits))
    return boxes


def _registers(unit: Unit) -> list[list[Box]]:
    """One chain of registers for every pair of ranges that has its own."""
    chains = []
    for pair in unit.pairs:
        tag, chain = unit.tag(pair), []
        if unit.split:
            note = f"{unit.accumulator.inner_overflow}, {unit.split.tile} products"
            chain.append(Box(f"+ inner{tag}", note, "register", unit.inner.bits))
        note = f"{unit.accumulator.overflow}, {'from a constant' if unit.preloads else f'{unit.acc.bits} bits'}"
        chain.append(Box(f"+ acc{tag}", note, "register", unit.acc.bits))
        if unit.adds_rest:
            chain.append(Box("+ rest", f"{-unit.b.zero_point} * sum a, once", "part", unit.acc.bits))
        chains.append(chain)
    return chains


def _result(unit: Unit) -> Box:
    if unit.deferred and unit.twins:
        return Box("<< and +", "once, at the end", "shift", unit.result.bits)
    return Box("result", f"{unit.result.bits} bits", "port", unit.result.bits)


def _amount(unit: Unit, side: str) -> str:
    return f"m_{side}" if unit.runtime_shift else str(dict(unit.sides)[side].shift)


def _flag(side: str, decided: Place, bottom: int) -> str:
    """From the decoder of an operand, above all boxes for a and below them for b, to the box that it decides about."""
    above = side == "a"
    x1, y1 = place_of(1, 0.0 if above else 1.0)
    x2, y2 = place_of(*decided)
    edge, x1, x2 = 0 if above else HEIGHT, x1 + BOX // 2, x2 + BOX // 2 - (0 if above else 45)
    y = MARGIN - FLAG + 6 if above else bottom + FLAG
    label = f'<text class="small" x="{(x1 + x2) // 2}" y="{y - 4}">flag of {side}</text>'
    return path((x1, y1 + edge), f"V{y}H{x2}V{y2 + edge}", "flag") + label
