"""Print a digest of what the simulator computes for small fixed cases; fail where the reference gives another result.

Run by `test_jit.py` in processes of their own, with the compiler on and off. Every kernel and machine type is met.
"""

from __future__ import annotations

import hashlib
import sys
import warnings

import numba
import numpy as np

import ptqsim as pq

FORMATS = [
    pq.Uniform(8, 0.02),
    pq.Uniform(12, 0.02, "half_away"),
    pq.TwinSoftmax(6, 4),
    pq.TwinSoftmax(6, 4, range_choice="nearest"),
    pq.TwinGELU(5, 3, 0.02, "toward_zero"),
    pq.TwinSoftmax(16, 28),
]
FLOATS = [pq.E4M3.with_scale(0.02), pq.E2M1]
ORDERS = [pq.Sequential(), pq.Tree(2), pq.Split(2, 9)]


def main() -> None:
    warnings.simplefilter("error")
    digest, kernels = hashlib.sha256(), set()
    rng = np.random.default_rng(0)
    pq.set_num_threads(2)
    for number_format in FORMATS + FLOATS:
        for dtype in (np.float32, np.float64):
            reals = np.concatenate([rng.normal(0, 0.5, 40), [0.0, 1e30, -1e30, 1e-30]]).astype(dtype)
            digest.update(number_format.encode(reals).tobytes())
            digest.update(number_format.fake_quantize(reals).tobytes())
    for a_format in FORMATS:
        for b_format in FORMATS[:2] + FORMATS[4:5]:
            a = pq.QuantizedArray(rng.integers(0, a_format.code_count, (3, 5)), a_format)
            b = pq.QuantizedArray(rng.integers(0, b_format.code_count, (5, 4)), b_format)
            need = pq.required_bits(a_format, b_format, 5)
            for bits in (max(2, need // 2), need - 4, need):
                for order in ORDERS:
                    for overflow in ("wrap", "saturate"):
                        accumulator = pq.Accumulator(bits, overflow, order)
                        result = pq.matmul(a, b, accumulator)
                        expected, statistics = pq.reference.matmul_with_statistics(a, b, accumulator)
                        if result.acc.tolist() != expected or result.overflow != statistics:
                            sys.exit(f"{accumulator} with {a_format} and {b_format} is wrong")
                        kernels.update(result.kernel.split("+"))
                        digest.update(result.acc.tobytes())
                        digest.update(repr((result.overflow, statistics.bits_needed)).encode())
    sys.stdout.write(f"{numba.config.DISABLE_JIT} {sorted(kernels)} {digest.hexdigest()}")


if __name__ == "__main__":
    main()
