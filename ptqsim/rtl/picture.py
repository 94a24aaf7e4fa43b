"""The datapath of a unit as a picture: every box and width from the specification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple
from xml.sax.saxutils import escape

from ptqsim.datapath.spec import Alignment
from ptqsim.rtl.hardware.unit import Unit

_BOX, _GAP, _HEIGHT, _MARGIN, _ROW = 118, 46, 46, 34, 84
_LOOP, _FLAG = 12, 22
"""Distance of a register's loop below it, and of the flags' wires from the outer boxes."""
_STYLE = (
    "text{font-family:sans-serif;font-size:12px;fill:#222;text-anchor:middle}.small{font-size:10px;fill:#555}"
    ".box{fill:#fff;stroke:#333;stroke-width:1.2}.register{fill:#dfe9f5}.shift{fill:#f6e6c8}.port{fill:#f3f3f3}"
    "path{fill:none;stroke:#333;stroke-width:1.2}.flag{stroke-dasharray:4 3;stroke:#a15c00}"
    ".head{fill:#333;stroke:none}"
)
_HEAD = (
    '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path class="head" d="M0 0 8 4 0 8z"/></marker></defs>'
)

Place = tuple[int, float]
"""Column and row of a box."""


class Box(NamedTuple):
    """A part of the datapath: its name, a second line, its kind, and the width of the wire that leaves it."""

    name: str
    note: str
    kind: Literal["port", "part", "shift", "register"]
    bits: int


def svg(unit: Unit) -> str:
    """The picture, as SVG: operands on the left, the result on the right, flags as dashed lines."""
    operands = [_operand(unit, side) for side in ("a", "b")]
    middle = _middle(unit)
    chains = _registers(unit)
    column = max(map(len, operands))
    drawn = [line for row, boxes in enumerate(operands) for line in _row(boxes, 0, row)]
    drawn += _row(middle, column, 0.5)
    drawn += [
        _arrow((len(chain) - 1, row), (column, 0.5), chain[-1].bits, enter=(-11, 11)[row])
        for row, chain in enumerate(operands)
    ]
    first = column + len(middle)
    rows = [0.5] if len(chains) == 1 else [i * 1.0 for i in range(len(chains))]
    last = first + max(map(len, chains))
    for number, (chain, row) in enumerate(zip(chains, rows, strict=True)):
        drawn += _row(chain, first, row)
        drawn.append(_arrow((first - 1, 0.5), (first, row), middle[-1].bits))
        enter = 0 if len(chains) == 1 else int(32 * (number / (len(chains) - 1) - 0.5))
        drawn.append(_arrow((last - 1, row), (last, 0.5), chain[-1].bits, enter=enter))
    drawn += _row([_result(unit)], last, 0.5)
    bottom = _MARGIN + int(max(1.0, *rows) * _ROW) + _HEIGHT
    for side, _ in unit.twins:
        drawn.append(_flag(side, _decided(unit, side, column, middle, first, rows), bottom))
    width, height = (last + 1) * (_BOX + _GAP) - _GAP + 2 * _MARGIN, bottom + _MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    ground = '<rect width="100%" height="100%" fill="#fff"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", _HEAD, ground, *drawn, "</svg>", ""])


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


def _row(boxes: Sequence[Box], column: int, row: float) -> list[str]:
    """Boxes side by side, with the width of the wire between each two; a register has a loop."""
    drawn = []
    for number, box in enumerate(boxes):
        x, y = _place(column + number, row)
        drawn.append(f'<rect class="box {box.kind}" x="{x}" y="{y}" width="{_BOX}" height="{_HEIGHT}" rx="4"/>')
        drawn.append(f'<text x="{x + _BOX // 2}" y="{y + 20}">{escape(box.name)}</text>')
        drawn.append(f'<text class="small" x="{x + _BOX // 2}" y="{y + 36}">{escape(box.note)}</text>')
        if number:
            drawn.append(_arrow((column + number - 1, row), (column + number, row), boxes[number - 1].bits))
        if box.kind == "register":
            low = y + _HEIGHT
            drawn.append(_path((x + 3 * _BOX // 4, low), f"v{_LOOP}h{-_BOX // 2}v{-_LOOP}"))
    return drawn


def _arrow(start: Place, end: Place, bits: int, enter: int = 0) -> str:
    """From the right side of one box to the left side of another, `enter` below its middle; the width stands above."""
    x1, y1 = _place(*start)
    x2, y2 = _place(*end)
    x1, y1, y2 = x1 + _BOX, y1 + _HEIGHT // 2, y2 + _HEIGHT // 2 + enter
    label = f'<text class="small" x="{x1 + _GAP // 2 - 5}" y="{y1 - 5}">{bits}</text>'
    return _path((x1, y1), f"H{x2 - 14}V{y2}H{x2}" if y1 != y2 else f"H{x2}") + label


def _flag(side: str, decided: Place, bottom: int) -> str:
    """From the decoder of an operand, above all boxes for a and below them for b, to the box that it decides about."""
    above = side == "a"
    x1, y1 = _place(1, 0.0 if above else 1.0)
    x2, y2 = _place(*decided)
    edge, x1, x2 = 0 if above else _HEIGHT, x1 + _BOX // 2, x2 + _BOX // 2 - (0 if above else 45)
    y = _MARGIN - _FLAG + 6 if above else bottom + _FLAG
    label = f'<text class="small" x="{(x1 + x2) // 2}" y="{y - 4}">flag of {side}</text>'
    return _path((x1, y1 + edge), f"V{y}H{x2}V{y2 + edge}", "flag") + label


def _path(start: tuple[int, int], steps: str, kind: str = "wire") -> str:
    return f'<path class="{kind}" d="M{start[0]} {start[1]}{steps}" marker-end="url(#end)"/>'


def _place(column: int, row: float) -> tuple[int, int]:
    return _MARGIN + column * (_BOX + _GAP), _MARGIN + int(row * _ROW)
