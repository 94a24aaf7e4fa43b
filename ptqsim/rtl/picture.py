"""The datapath of a unit as a picture: every box and width from the specification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from ptqsim.datapath.spec import Alignment
from ptqsim.rtl.hardware.unit import Unit

_BOX, _GAP, _HEIGHT, _MARGIN, _ROW = 118, 46, 46, 14, 84
_STYLE = (
    "text{font-family:sans-serif;font-size:12px;fill:#222;text-anchor:middle}.small{font-size:10px;fill:#555}"
    "rect{fill:#fff;stroke:#333;stroke-width:1.2}.register{fill:#dfe9f5}.shift{fill:#f6e6c8}"
    "line{stroke:#333;stroke-width:1.2}"
)


class Box(NamedTuple):
    """A part of the datapath: its name, a second line, its kind, and the width of the wire that leaves it."""

    name: str
    note: str
    kind: str
    bits: int


def svg(unit: Unit) -> str:
    """The picture, as SVG: operands on the left, the result on the right."""
    operands = [_operand(unit, side) for side in ("a", "b")]
    middle = _middle(unit)
    registers = _registers(unit)
    longest = max(map(len, operands))
    drawn = [line for row, boxes in enumerate(operands) for line in _row(boxes, 0, row)]
    column = longest
    drawn += _row(middle, column, 0.5)
    drawn += [_arrow((len(chain) - 1, row), (column, 0.5), chain[-1].bits) for row, chain in enumerate(operands)]
    column += len(middle)
    rows = [0.5] if len(registers) == 1 else [i * 1.0 for i in range(len(registers))]
    for chain, row in zip(registers, rows, strict=True):
        drawn += _row(chain, column, row)
        drawn.append(_arrow((column - 1, 0.5), (column, row), middle[-1].bits))
    column += max(map(len, registers))
    drawn += _row([_result(unit)], column, 0.5)
    for chain, row in zip(registers, rows, strict=True):
        drawn.append(_arrow((column - 1, row), (column, 0.5), chain[-1].bits))
    width = (column + 1) * (_BOX + _GAP) - _GAP + 2 * _MARGIN
    height = int(max(1.0, *rows) * _ROW) + _HEIGHT + 2 * _MARGIN + 18
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    ground = '<rect width="100%" height="100%" stroke="none"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", ground, *drawn, "</svg>", ""])


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
            note = f"{unit.accumulator.overflow}, {unit.split.tile} products"
            chain.append(Box(f"+ inner{tag}", note, "register", unit.inner.bits))
        note = f"{unit.accumulator.overflow}, {unit.acc.bits} bits"
        chain.append(Box(f"+ acc{tag}", note, "register", unit.acc.bits))
        chains.append(chain)
    return chains


def _result(unit: Unit) -> Box:
    if unit.deferred and unit.twins:
        return Box("<< and +", "once, at the end", "shift", unit.result.bits)
    return Box("result", f"{unit.result.bits} bits", "port", unit.result.bits)


def _amount(unit: Unit, side: str) -> str:
    return f"m_{side}" if unit.runtime_shift else str(dict(unit.sides)[side].shift)


def _row(boxes: Sequence[Box], column: int, row: float) -> list[str]:
    """Boxes side by side, with the width of the wire between each two."""
    drawn = []
    for number, box in enumerate(boxes):
        x, y = _place(column + number, row)
        drawn.append(f'<rect class="{box.kind}" x="{x}" y="{y}" width="{_BOX}" height="{_HEIGHT}" rx="4"/>')
        drawn.append(f'<text x="{x + _BOX // 2}" y="{y + 20}">{escape(box.name)}</text>')
        drawn.append(f'<text class="small" x="{x + _BOX // 2}" y="{y + 36}">{escape(box.note)}</text>')
        if number:
            drawn.append(_arrow((column + number - 1, row), (column + number, row), boxes[number - 1].bits))
    return drawn


def _arrow(start: tuple[int, float], end: tuple[int, float], bits: int) -> str:
    """A line from the right side of one box to the left side of another; the number of wires stands above it."""
    x1, y1 = _place(*start)
    x2, y2 = _place(*end)
    x1, y1, y2 = x1 + _BOX, y1 + _HEIGHT // 2, y2 + _HEIGHT // 2
    label = f'<text class="small" x="{(x1 + x2) // 2}" y="{(y1 + y2) // 2 - 5}">{bits}</text>'
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>{label}'


def _place(column: int, row: float) -> tuple[int, int]:
    return _MARGIN + column * (_BOX + _GAP), _MARGIN + int(row * _ROW)
