"""Units of small blocks, rows of codes for them, and what the reference says of each."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.datapath.register import add, fits
from ptqsim.rtl import BlockUnit

SMALL, WIDER = pq.Block(pq.E2M1, 4), pq.Block(pq.E3M2, 4)
INTEGERS, NV = pq.Block(pq.Uniform(4, 0.25), 4), pq.Block(pq.E2M1, 4, "e4m3")
PLAIN = pq.BlockArray.from_plain(pq.quantize([0.5], pq.TwinSoftmax(4, 2)), 4).format

UNITS = {
    "cut": BlockUnit(SMALL, SMALL, pq.FixedPoint(12, -4, "saturate")),
    "rounded": BlockUnit(SMALL, WIDER, pq.FixedPoint(14, -3, "wrap", "half_even"), "baugh_wooley"),
    "nv": BlockUnit(NV, NV, pq.FixedPoint(20, -12, "saturate", "half_even")),
    "trap": BlockUnit(INTEGERS, SMALL, pq.FixedPoint(10, 2, "trap", "half_even")),
    "beside": BlockUnit(PLAIN, INTEGERS, pq.FixedPoint(16, -6, "saturate")),
    "aligned": BlockUnit(SMALL, SMALL, pq.AlignedFloat32(6)),
    "pairs": BlockUnit(WIDER, SMALL, pq.AlignedFloat32(26, 2)),
    "nv_triples": BlockUnit(NV, SMALL, pq.AlignedFloat32(14, 3)),
    "long": BlockUnit(SMALL, INTEGERS, pq.AlignedFloat32(40)),
}


def rows(unit: BlockUnit, count: int, rng: np.random.Generator) -> tuple[dict[str, Any], NDArray[np.int64], list[bool]]:
    """Inputs of a step, the next register of each, and where it overflows.

    Every fifth row has scales and registers from all of their range, every seventh a block of zeros.
    """
    given: dict[str, list[Any]] = {name: [] for name in ("a_code", "b_code", "a_scale", "b_scale", "acc")}
    expected, flags, pairs = [], [], unit.pairs
    for i in range(count):
        arrays = []
        for side, fmt, axis in (("a", unit.a, -1), ("b", unit.b, -2)):
            codes = rng.integers(0, fmt.element.code_count, (1, pairs, fmt.block))
            codes[:, :] = 0 if side == "a" and i % 7 == 0 else codes
            near, ends = (100, 127) if fmt.scale == "e4m3" else (120, 134), (0, 127 if fmt.scale == "e4m3" else 255)
            scales = rng.integers(*(ends if i % 5 == 0 else near), (1, pairs))
            arrays.append(pq.BlockArray(codes.astype(np.uint8), scales.astype(np.uint8), fmt, pairs * fmt.block, axis))
            given[f"{side}_code"].append(codes.ravel())
            given[f"{side}_scale"].append(scales.ravel() if pairs > 1 else scales.item())
        (values,) = pq.block_reference.values(*arrays)[0]
        acc, after, flag = _next(unit, values, i, rng)
        given["acc"].append(acc)
        expected.append(after)
        flags.append(flag)
    return {name: np.array(each) for name, each in given.items()}, np.array(expected), flags


def _next(unit: BlockUnit, values: list[Fraction], i: int, rng: np.random.Generator) -> tuple[int, int, bool]:
    register = unit.register
    if isinstance(register, pq.FixedPoint):
        half = 1 << (register.bits - 1)
        acc = int(rng.choice([-half, half - 1, 0])) if i % 3 == 0 else int(rng.integers(-half, half))
        term = pq.block_reference.on_grid(values[0], register)
        mode = "wrap" if register.overflow == "trap" else register.overflow
        return acc, add(acc, term, register.bits, mode), not fits(acc + term, register.bits)
    exponent = float(rng.integers(-149, 127)) if i % 5 == 0 else float(rng.integers(-8, 8))
    held = np.float32(0 if i % 11 == 0 else rng.uniform(-1, 1) * 2.0**exponent)
    total = pq.block_reference.aligned_sum([Fraction(float(held)), *values], register.fraction_bits)
    return word(float(held)), word(pq.block_reference.float32_toward_zero(total)), False


def word(value: float) -> int:
    """The bits of a float32."""
    return int(np.array([value], np.float32).view(np.uint32)[0])
