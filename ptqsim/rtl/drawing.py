"""Pictures of hardware: boxes in rows and columns, and wires with their widths, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple
from xml.sax.saxutils import escape

BOX, GAP, HEIGHT, MARGIN, ROW = 118, 46, 46, 34, 84
LOOP, FLAG = 12, 22
"""Distance of a register's loop below it, and of the flags' wires from the outer boxes."""
STYLE = (
    "text{font-family:sans-serif;font-size:12px;fill:#222;text-anchor:middle}.small{font-size:10px;fill:#555}"
    ".box{fill:#fff;stroke:#333;stroke-width:1.2}.register{fill:#dfe9f5}.shift{fill:#f6e6c8}.port{fill:#f3f3f3}"
    "path{fill:none;stroke:#333;stroke-width:1.2}.flag{stroke-dasharray:4 3;stroke:#a15c00}"
    ".head{fill:#333;stroke:none}"
)
HEAD = (
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


def document(width: int, height: int, drawn: Sequence[str]) -> str:
    """A whole picture of elements that are drawn."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    ground = '<rect width="100%" height="100%" fill="#fff"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", HEAD, ground, *drawn, "</svg>", ""])


def row_of(boxes: Sequence[Box], column: int, row: float) -> list[str]:
    """Boxes side by side, with the width of the wire between each two; a register has a loop."""
    drawn = []
    for number, box in enumerate(boxes):
        x, y = place_of(column + number, row)
        drawn.append(f'<rect class="box {box.kind}" x="{x}" y="{y}" width="{BOX}" height="{HEIGHT}" rx="4"/>')
        drawn.append(f'<text x="{x + BOX // 2}" y="{y + 20}">{escape(box.name)}</text>')
        drawn.append(f'<text class="small" x="{x + BOX // 2}" y="{y + 36}">{escape(box.note)}</text>')
        if number:
            drawn.append(arrow((column + number - 1, row), (column + number, row), boxes[number - 1].bits))
        if box.kind == "register":
            low = y + HEIGHT
            drawn.append(path((x + 3 * BOX // 4, low), f"v{LOOP}h{-BOX // 2}v{-LOOP}"))
    return drawn


def arrow(start: Place, end: Place, bits: int, enter: int = 0) -> str:
    """From the right side of one box to the left side of another, `enter` below its middle; the width above, if any."""
    x1, y1 = place_of(*start)
    x2, y2 = place_of(*end)
    x1, y1, y2 = x1 + BOX, y1 + HEIGHT // 2, y2 + HEIGHT // 2 + enter
    label = f'<text class="small" x="{x1 + GAP // 2 - 5}" y="{y1 - 5}">{bits}</text>' if bits else ""
    return path((x1, y1), f"H{x2 - 14}V{y2}H{x2}" if y1 != y2 else f"H{x2}") + label


def path(start: tuple[int, int], steps: str, kind: str = "wire") -> str:
    """A wire with an arrow at its end."""
    return f'<path class="{kind}" d="M{start[0]} {start[1]}{steps}" marker-end="url(#end)"/>'


def place_of(column: int, row: float) -> tuple[int, int]:
    """Left upper corner of a box."""
    return MARGIN + column * (BOX + GAP), MARGIN + int(row * ROW)
