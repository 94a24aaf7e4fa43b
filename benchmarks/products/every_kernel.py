"""Small products that meet every kernel and machine type; run as a program, it prints which they were as JSON."""

from __future__ import annotations

import json
import sys
from itertools import product

import numpy as np

import ptqsim as pq

FORMATS: tuple[pq.NumberFormat, ...] = (
    pq.Uniform(8, 0.02),
    pq.Uniform(12, 0.02, "half_away"),
    pq.TwinSoftmax(6, 4),
    pq.TwinSoftmax(6, 4, range_choice="nearest"),
    pq.TwinGELU(5, 3, 0.02, "toward_zero"),
    pq.TwinSoftmax(16, 28),
)
ORDERS: tuple[pq.Sequential | pq.Tree | pq.Split, ...] = (pq.Sequential(), pq.Tree(2), pq.Split(2, 9))
DEPTH = 5
DEEP = 300


def run() -> list[str]:
    """Names of the kernels that ran."""
    rng = np.random.default_rng(0)
    kernels: set[str] = set()
    for number_format, dtype in product(FORMATS, (np.float32, np.float64)):
        reals = rng.normal(0.0, 0.5, 40).astype(dtype)
        number_format.encode(reals)
        number_format.fake_quantize(reals)
    FORMATS[0].encode(np.zeros(1 << 16))  # long enough for several threads, which are compiled too
    for a_format, b_format in product(FORMATS, (FORMATS[0], FORMATS[1], FORMATS[4])):
        a = pq.QuantizedArray(rng.integers(0, a_format.code_count, (3, DEPTH)), a_format)
        b = pq.QuantizedArray(rng.integers(0, b_format.code_count, (DEPTH, 4)), b_format)
        need = pq.required_bits(a_format, b_format, DEPTH)
        for bits, order, overflow, statistics in product(
            (max(2, need // 2), need - 4, need), ORDERS, pq.OverflowMode, (False, True)
        ):
            try:
                result = pq.matmul(a, b, pq.Accumulator(bits, overflow, order), statistics)
            except pq.AccumulatorOverflowError:
                continue
            kernels.update(result.kernel.split("+"))
            result.dequantize(np.empty(result.acc.shape, np.float32))
            if result.overflow is not None:
                result.overflow.bits_needed  # noqa: B018 - the pass over prefix sums runs when it is asked for
    # Prefix sums of deep products have kernels of their own.
    for a_format in FORMATS:
        a = pq.QuantizedArray(rng.integers(0, a_format.code_count, (3, DEEP)), a_format)
        b = pq.QuantizedArray(rng.integers(0, FORMATS[0].code_count, (DEEP, 4)), FORMATS[0])
        seen = pq.matmul(a, b, pq.Accumulator(60)).overflow
        assert seen is not None
        seen.bits_needed  # noqa: B018
    return sorted(kernels)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run()) + "\n")
