"""An encoder block as a picture: memories, address generators and targets, from the specification."""

from __future__ import annotations

from ptqsim.rtl.drawing import BOX, GAP, HEIGHT, MARGIN, ROW, Box, arrow, document, row_of
from ptqsim.rtl.encoder.hardware import EncoderBlock
from ptqsim.rtl.encoder.layout import Layout
from ptqsim.rtl.encoder.program import SumTarget, TileTarget

_STEP = 0.72
"""Distance of two targets, in rows."""


def block_svg(block: EncoderBlock) -> str:
    """The picture, as SVG: the program on the left, what runs in the middle, and the memory that is written right."""
    places, program = block.places, block.program
    layout = Layout.of(program, max(block.words, places.weight_words))
    bits, address = places.word_bits, layout.address_bits
    targets = _targets(block)
    rows = [number * _STEP for number in range(len(targets))]
    low = max(2, len(targets)) * _STEP
    middle = (len(targets) // 2 + 0.5) * _STEP  # beside no target
    memory = Box("data memory", f"{block.words:,} x {bits} bits", "port", bits)
    weights = Box("weights", f"{places.weight_words:,} x {places.weight_bits} bits", "port", bits)
    code = Box("program", f"{len(program.instructions)} x {layout.bits} bits", "port", layout.bits)
    walkers = [Box(name, f"{layout.depth} loops", "part", address) for name in ("a", "b", "out")]
    heights = (0.0, middle, low)
    drawn = [line for box, row in zip(walkers, heights, strict=True) for line in row_of([box], 1, row)]
    drawn += [*row_of([code], 0, middle), *row_of([memory], 2, 0.0), *row_of([weights], 2, middle)]
    drawn += [arrow((0, middle), (1, row), layout.bits if not row else 0) for row in heights]
    drawn += [arrow((1, 0.0), (2, 0.0), address), arrow((1, middle), (2, middle), address)]
    drawn += [arrow((1, middle), (2, 0.0), 0, enter=12)]
    for box, row in zip(targets, rows, strict=True):
        drawn += row_of([box], 3, row)
        drawn.append(arrow((2, 0.0), (3, row), 0 if row else bits))
        drawn.append(arrow((3, row), (4, middle), bits if row == rows[0] else 0))
    drawn.append(arrow((2, middle), (3, rows[0]), places.weight_bits, enter=12))
    drawn += row_of([memory], 4, middle)
    drawn.append(arrow((1, low), (4, middle), address, enter=16))
    return document(5 * (BOX + GAP) - GAP + 2 * MARGIN, MARGIN + int(low * ROW) + HEIGHT + MARGIN, drawn)


def _targets(block: EncoderBlock) -> list[Box]:
    """A box for every tile, and one for all units of a kind."""
    found: list[Box] = []
    kinds: dict[str, int] = {}
    for target in block.program.targets:
        if isinstance(target, TileTarget):
            unit = target.unit
            note = f"{block.columns} x {unit.accumulator.bits} bits, {unit.accumulator.overflow}"
            found.append(Box(f"tile {target.name.replace('_', ' ')}", note, "shift", block.places.word_bits))
        else:
            kind = "sum" if isinstance(target, SumTarget) else type(target.unit).__name__
            kinds[kind] = kinds.get(kind, 0) + 1
    return found + [
        Box(kind, f"{count} of them" if count > 1 else "one", "part", block.places.word_bits)
        for kind, count in kinds.items()
    ]
