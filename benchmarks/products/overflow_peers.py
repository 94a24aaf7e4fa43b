"""Libraries that offer a register of P bits for a matrix product: how fast, and how often wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq
from benchmarks.products import oracle
from benchmarks.products.draws import OperandKind, Operands
from benchmarks.products.measure import Plan
from benchmarks.timing import interleaved

Integers = NDArray[np.int64]
Product = Callable[[], Integers]
Maker = Callable[[Integers, Integers, pq.Accumulator], Product]

BITS: Final = 15
"""Width of the register: sums of some hundred products of a network's 8-bit codes overflow it about half the time."""

EXAMPLE: Final = (np.full((1, 3), 127, np.int64), np.full((3, 1), 127, np.int64))
"""3 x (127 * 127) = 48387, which in 15 bits is 15619 if it wraps and 16383 if it saturates."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A peer in one overflow mode.

    Parameters
    ----------
    peer, overflow, bits : str and int
        What was asked.
    gmac_per_s, simulator_gmac_per_s : float
        Its speed on small matrices, and the simulator's on one of a network.
    wrong, outputs : int
        How many outputs differ from those of a register that overflows at every step, of how many.
    wrong_low_bits : int
        How many would if only the low bits of what the library gives were read.
    example, example_right : int
        What it gives for 3 x (127 * 127), and what is right.
    """

    peer: str
    overflow: str
    bits: int
    gmac_per_s: float
    simulator_gmac_per_s: float
    wrong: int
    outputs: int
    wrong_low_bits: int
    example: int
    example_right: int

    @property
    def times(self) -> float:
        """Speedup of the simulator, per multiply-accumulate."""
        return self.simulator_gmac_per_s / self.gmac_per_s

    @property
    def is_wrong(self) -> bool:
        """True if anything was measured."""
        return self.wrong > 0 or self.example != self.example_right


def apytypes_product(a: Integers, b: Integers, accumulator: pq.Accumulator) -> Product:
    """A product in an ``APyFixedAccumulatorContext`` of the accumulator's width and overflow mode."""
    apytypes: Any = import_module("apytypes")
    mode = {"wrap": apytypes.OverflowMode.WRAP, "saturate": apytypes.OverflowMode.SAT}[str(accumulator.overflow)]
    x, w = (apytypes.APyFixedArray.from_float(values, int_bits=8, frac_bits=0) for values in (a, b))

    def call() -> Integers:
        with apytypes.APyFixedAccumulatorContext(int_bits=accumulator.bits, frac_bits=0, overflow=mode):
            found = x @ w
        return np.asarray(found.to_numpy()).astype(np.int64)

    return call


def fxpmath_product(a: Integers, b: Integers, accumulator: pq.Accumulator) -> Product:
    """``fxpmath.functions.dot`` into a register of the accumulator's width and overflow mode."""
    Fxp: Any = import_module("fxpmath").Fxp
    dot: Any = import_module("fxpmath.functions").dot
    x, w = (Fxp(values, signed=True, n_word=8, n_frac=0) for values in (a, b))
    register = Fxp(
        np.zeros((a.shape[0], b.shape[1])), signed=True, n_word=accumulator.bits, n_frac=0,
        overflow=str(accumulator.overflow),
    )  # fmt: skip
    return lambda: np.asarray(dot(x, w, out=register).val).astype(np.int64)


MAKERS: Final[dict[str, Maker]] = {"apytypes": apytypes_product, "fxpmath": fxpmath_product}


def installed() -> dict[str, Maker]:
    """The peers that can be measured here."""
    return {name: maker for name, maker in MAKERS.items() if find_spec(name) is not None}


def judge(name: str, maker: Maker, overflow: str, plan: Plan) -> Verdict:
    """Compare a peer with the oracle, and its speed with the simulator's in the first shape of the plan.

    The products of both take turns; the clock is CPU time.
    """
    operands, network = Operands(OperandKind("uniform", 8), OperandKind("uniform", 8)), plan.shapes[0]
    accumulator = pq.Accumulator(BITS, overflow)
    a, b = (array.aligned() for array in operands.draw(plan.peer_shape, plan.seed))
    call = maker(a, b, accumulator)
    given, right = call(), oracle.run(a, b, accumulator).acc
    left, weights = operands.draw(network, plan.seed)

    def of_simulator() -> None:
        pq.matmul(left, weights, accumulator, statistics=False)

    timing = interleaved(of_simulator, {name: call}, plan.rounds, plan.least)[name]
    return Verdict(
        name,
        overflow,
        BITS,
        gmac_per_s=plan.peer_shape.macs / timing.seconds / 1e9,
        simulator_gmac_per_s=network.macs / (timing.seconds * timing.ratio) / 1e9,
        wrong=int(np.count_nonzero(given != right)),
        outputs=right.size,
        wrong_low_bits=int(np.count_nonzero(oracle.bounded(given, BITS, "wrap") != right)),
        example=int(maker(*EXAMPLE, accumulator)()[0, 0]),
        example_right=int(oracle.run(*EXAMPLE, accumulator).acc[0, 0]),
    )
