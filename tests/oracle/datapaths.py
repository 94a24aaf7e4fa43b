"""Random products and datapaths by the number: formats, widths, orders, modes, alignments, sizes and distributions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import ptqsim as pq


class Case(NamedTuple):
    a: pq.QuantizedArray
    b: pq.QuantizedArray
    accumulator: pq.Accumulator


def number_format(rng: np.random.Generator) -> pq.NumberFormat:
    bits = int(rng.integers(2, 17)) if rng.random() < 0.3 else int(rng.integers(2, 9))
    shift = int(rng.integers(0, 12)) if rng.random() < 0.9 else int(rng.integers(12, 25))
    signed = bool(rng.random() < 0.5)
    low, high = pq.Uniform(bits, 0.02, signed=signed).code_range
    zero_point = int(rng.integers(low, high + 1)) if rng.random() < 0.7 else 0
    uniform = pq.Uniform(bits, 0.02) if rng.random() < 0.3 else pq.Uniform(bits, 0.02, "half_even", signed, zero_point)
    kinds = [uniform, pq.TwinSoftmax(bits, shift), pq.TwinGELU(bits, shift, 0.01)]
    return kinds[rng.choice(3, p=[0.4, 0.3, 0.3])]


def codes(array_format: pq.NumberFormat, shape: tuple[int, ...], rng: np.random.Generator) -> pq.QuantizedArray:
    """Codes spread evenly, crowded around zero as those of a network are, or at the two ends of the format."""
    spread = rng.random()
    count = array_format.code_count
    by_magnitude = np.argsort(np.abs(array_format.aligned_table()), kind="stable")
    if spread < 0.4:
        chosen = rng.integers(0, count, shape)
    elif spread < 0.9:
        ranks = rng.exponential(count / rng.uniform(2, 20), shape).astype(int)
        chosen = by_magnitude[np.minimum(ranks, count - 1)]
    else:
        chosen = by_magnitude[rng.choice([0, count - 1, count - 2], shape)]
    return pq.QuantizedArray(chosen, array_format)


def random_case(seed: int, number: int, outputs: int) -> Case:
    """Case `number` of a seed, with about so many outputs. The same on every machine and in every order of cases."""
    rng = np.random.default_rng([seed, number])
    while True:
        a_format, b_format = number_format(rng), number_format(rng)
        depth = int(np.exp(rng.uniform(np.log(1), np.log(256))))
        # Half of what random sums reach, or about the width of one term: both are where registers overflow.
        one, all_of_them = pq.required_bits(a_format, b_format, 1), pq.required_bits(a_format, b_format, depth)
        if all_of_them <= 62:
            break

    def width() -> int:
        if rng.random() < 0.5:
            return int(np.clip(rng.integers(one - 3, one + 3), 2, 63))
        return int(np.clip(rng.integers(one - 3, all_of_them + 2), 2, 63))

    rows = int(np.exp(rng.uniform(np.log(8), np.log(outputs / 8))))
    columns = max(1, outputs // rows)
    a, b = codes(a_format, (rows, depth), rng), codes(b_format, (depth, columns), rng)
    orders = [pq.Sequential(), pq.Tree(int(rng.integers(1, 33))), pq.Split(int(rng.integers(1, 65)), width())]
    order = orders[rng.integers(3)]
    overflow = ("wrap", "saturate", "trap")[rng.choice(3, p=[0.4, 0.5, 0.1])]
    bits = width()
    if isinstance(order, pq.Split) and overflow != "trap" and rng.random() < 0.5:
        order = pq.Split(order.tile, order.inner_bits, ("wrap", "saturate")[rng.integers(2)])
    alignment = ("product", "operand", "deferred")[rng.integers(3)]
    zero_point = ("operand", "correction")[rng.integers(2)]
    # A deferred register that overflows can hold anything of its width, and is shifted at the end.
    if alignment == "deferred" and max(bits, all_of_them) + a_format.shift + b_format.shift > 60:
        alignment = "product"
    return Case(a, b, pq.Accumulator(bits, overflow, order, alignment, zero_point))
