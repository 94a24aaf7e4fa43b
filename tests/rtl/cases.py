"""Units of every variant, and codes that overflow them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import ptqsim as pq
from ptqsim import golden
from ptqsim.rtl import Unit

ORDERS = {"sequential": pq.Sequential(), "tree": pq.Tree(3), "split": pq.Split(4, 6)}
OVERFLOWS = ("wrap", "saturate", "trap")
ALIGNMENTS = ("product", "operand", "deferred")
STYLES = ("behavioral", "baugh_wooley")
DEPTH = 13


def formats(bits: int) -> dict[str, tuple[pq.NumberFormat, pq.NumberFormat]]:
    """Each kind of pair once; widths of the operands differ where they may."""
    return {
        "uniform": (pq.Uniform(bits, 1.0), pq.Uniform(bits, 1.0)),
        "softmax": (pq.TwinSoftmax(bits, bits - 1), pq.Uniform(bits, 1.0)),
        "gelu": (pq.TwinGELU(bits, 2, 1.0), pq.Uniform(bits, 1.0)),
        "twin_pair": (pq.TwinSoftmax(bits, 2), pq.TwinGELU(bits, 1, 1.0)),
    }


def asymmetric(bits: int) -> list[tuple[pq.NumberFormat, pq.NumberFormat]]:
    """Unsigned codes, and zero points in the middle and at the ends, on either side and beside a twin format."""
    half, top = 1 << (bits - 1), (1 << bits) - 1
    middle = pq.Uniform(bits, 1.0, signed=False, zero_point=half - 1)
    return [
        (pq.Uniform(bits, 1.0, signed=False), pq.Uniform(bits, 1.0)),
        (middle, pq.Uniform(bits, 1.0, zero_point=-1)),
        (pq.Uniform(bits, 1.0, zero_point=-half), pq.Uniform(bits, 1.0, signed=False, zero_point=top)),
        (pq.Uniform(bits, 1.0, zero_point=half - 1), middle),
        (pq.TwinGELU(bits, 2, 1.0), middle),
    ]


def variants(bits: int) -> list[Unit]:
    """Formats, alignments, overflow modes, orders and kinds of shift, all with all; the register is one term wide."""
    found = []
    for (kind, (a, b)), alignment, overflow, order, runtime in product(
        formats(bits).items(), ALIGNMENTS, OVERFLOWS, ORDERS.values(), (False, True)
    ):
        if kind == "uniform" and (runtime or alignment != "product"):
            continue  # nothing is shifted
        found.append(near_term(a, b, overflow, order, alignment, runtime, STYLES[len(found) % 2]))
    for (a, b), overflow, order in product(asymmetric(bits), OVERFLOWS, ORDERS.values()):
        found.append(near_term(a, b, overflow, order, ALIGNMENTS[len(found) % 3], style=STYLES[len(found) % 2]))
    return found


def corrected(bits: int) -> list[Unit]:
    """Zero points corrected for behind the multiplier, of `a`, of `b` or both, in every mode and order."""
    half = 1 << (bits - 1)
    pairs = [
        *asymmetric(bits)[1:],  # the first one has no zero point
        (pq.TwinSoftmax(bits, bits - 1), pq.Uniform(bits, 1.0, zero_point=half - 1)),
        (pq.Uniform(bits, 1.0, signed=False, zero_point=half), pq.TwinGELU(bits, 1, 1.0)),
        (pq.Uniform(bits, 1.0, signed=False, zero_point=3), pq.Uniform(bits, 1.0)),
        (pq.Uniform(bits, 1.0), pq.Uniform(bits, 1.0, signed=False, zero_point=half + 1)),
    ]
    found = []
    for (a, b), overflow, order in product(pairs, OVERFLOWS, ORDERS.values()):
        alignment, style, runtime = ALIGNMENTS[len(found) % 3], STYLES[len(found) % 2], bool(a.shift or b.shift)
        made = near_term(a, b, overflow, order, alignment, runtime and len(found) % 4 < 2, style, len(found) % 3)
        found.append(replace(made, accumulator=replace(made.accumulator, zero_point="correction")))
    return found


def pairs(bits: int) -> list[Unit]:
    """Tiles of two products with an overflow mode of their own, as vpmaddubsw before a sum: u8 times s8 scaled down."""
    a, b = pq.Uniform(bits, 1.0, signed=False), pq.Uniform(bits, 1.0)
    inner = 2 * bits  # the register of 16 bits for codes of 8
    return [
        Unit(a, b, pq.Accumulator(inner + 1, outer, pq.Split(2, inner, own)), DEPTH, multiplier=style)
        for (own, outer), style in zip((("saturate", "wrap"), ("wrap", "saturate")), STYLES, strict=True)
    ]


def near_term(
    a: pq.NumberFormat,
    b: pq.NumberFormat,
    overflow: str,
    order: pq.Sequential | pq.Tree | pq.Split,
    alignment: str,
    runtime: bool = False,
    style: str = "behavioral",
    extra: int = 0,
) -> Unit:
    """A unit whose registers are as wide as one term, plus `extra` bits: wider ones hide a missing guard bit."""
    wide = Unit(a, b, pq.Accumulator(32, overflow, order, alignment), DEPTH, runtime)
    bits = max(2, wide.term.bits + extra)
    if isinstance(order, pq.Split):
        order = pq.Split(order.tile, max(2, wide.term.bits))
    return Unit(a, b, pq.Accumulator(bits, overflow, order, alignment), DEPTH, runtime, style)


def codes(unit: Unit, rows: int, depth: int, columns: int, seed: int) -> tuple[pq.QuantizedArray, pq.QuantizedArray]:
    """Corner patterns and random codes in turn."""
    return golden.stimulus(unit.a, unit.b, rows, depth, columns, seed=seed)
