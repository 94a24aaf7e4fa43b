"""Block arrays at random, and the check of their products beside the reference."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

import ptqsim as pq

NAMES = ("MXINT8", "MXFP8", "MXFP8_E5M2", "MXFP6", "MXFP6_E3M2", "MXFP4", "NVFP4")
WIDE = pq.Block(pq.E5M2, 4)
ELEMENTS = (pq.E2M1, pq.E4M3, pq.E5M2, pq.Uniform(8, 2.0**-6), pq.Uniform(3, 0.5))


def drawn(
    block_format: pq.Block, shape: tuple[int, ...], axis: int, rng: np.random.Generator, scales: tuple[int, int]
) -> pq.BlockArray:
    """Codes at random that stand for numbers, and scales from a range."""
    *lead, rows, columns = shape
    lines, depth = (rows, columns) if axis == -1 else (columns, rows)
    size, blocks = block_format.block, -(-depth // block_format.block)
    every = np.arange(block_format.element.code_count)
    numbers = every[block_format.element.is_number(every)]
    codes = rng.choice(numbers, (*lead, lines, blocks * size))
    codes[..., depth:] = 0
    found = rng.integers(*scales, (*lead, lines, blocks))
    return pq.BlockArray(codes.reshape(*found.shape, size), found, block_format, depth, axis)


def natural(name: str, shape: tuple[int, ...], axis: int, rng: np.random.Generator) -> pq.BlockArray:
    x = rng.normal(size=shape) * 2.0 ** rng.integers(-3, 4, (shape[0], 1) if axis == 0 else (1, shape[1]))
    block_format = getattr(pq, name)
    return pq.quantize_blocks(x, block_format.covering(x) if name == "NVFP4" else block_format, axis)


def outcome(call: Any) -> Any:
    """Result of a datapath, or the event that it traps with."""
    try:
        return call()
    except pq.AccumulatorOverflowError as error:
        return error.args


def check(a: pq.BlockArray, b: pq.BlockArray, register: Any) -> pq.MatmulResult | None:
    """The product with and without statistics beside the reference."""
    expected = outcome(lambda: pq.block_reference.matmul(a, b, register))
    result = None
    for statistics in (False, True):
        result = outcome(lambda: pq.matmul(a, b, register, statistics))  # noqa: B023 - called at once
        if isinstance(result, tuple):
            assert result == expected
            return None
        assert repr(result.acc.tolist()) == repr(expected)  # NaN is equal to itself there, and -0.0 is not 0.0
    return result


REGISTERS = (
    pq.Float32(),
    *(pq.AlignedFloat32(*options) for options in ((7, 1), (25, 3), (64, 8))),
    *(
        pq.FixedPoint(bits, weight, overflow, rounding)
        for (bits, weight), overflow, rounding in product(
            ((12, 0), (24, -6), (30, -20), (40, -12), (63, -40)), ("wrap", "saturate", "trap"), ("cut", "half_even")
        )
    ),
)
