"""Products of blocks: their registers beside NumPy's float32 product, each output compared with sums in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq
from benchmarks.products.contenders import Contender
from benchmarks.products.float_peers import apyfloat, block_peers
from benchmarks.products.measure import Plan, Row, baseline, race
from benchmarks.products.shapes import Shape
from benchmarks.products.targets import Kind, target
from benchmarks.timing import interleaved

FORMATS: Final = {"mxint8": pq.MXINT8, "mxfp8": pq.MXFP8, "mxfp6": pq.MXFP6, "mxfp4": pq.MXFP4, "nvfp4": pq.NVFP4}

_FIXED_BITS: Final = (24, 32)


@dataclass(frozen=True, slots=True)
class BlockGroup:
    """The registers of products of one format with itself, as far as their names match."""

    name: str
    cases: tuple[str, ...]
    peers: bool

    @property
    def operands(self) -> str:
        """As the report says it."""
        return f"{self.name} x {self.name}"

    def weight(self, rounds: int) -> int:
        """Roughly what measuring takes, in steps of the progress bar."""
        return len(self.cases) + self.peers + rounds * (len(self.cases) + self.peers)


def groups_for(shape: Shape, pattern: str = "") -> list[BlockGroup]:
    """The groups with a case that is asked for."""

    def wanted(name: str, case: str) -> bool:
        return not pattern or fnmatch(f"{shape.name}/{name} x {name}/{case}", f"*{pattern.lower()}*")

    every = ("float32 in order", *(f"saturate {bits}" for bits in _FIXED_BITS))
    found = [
        BlockGroup(name, tuple(case for case in every if wanted(name, case)), name == "mxfp8" and wanted(name, "peers"))
        for name in FORMATS
    ]
    return [group for group in found if group.cases or group.peers]


def draw(name: str, shape: Shape, seed: int) -> tuple[pq.BlockArray, pq.BlockArray]:
    """Gaussians, in blocks along the depth."""
    rng = np.random.default_rng((seed, shape.batch, shape.rows, shape.depth, shape.columns))
    lead = () if shape.batch == 1 else (shape.batch,)
    arrays = []
    for sizes, axis in (((shape.rows, shape.depth), -1), ((shape.depth, shape.columns), -2)):
        reals, block_format = rng.normal(size=(*lead, *sizes)), FORMATS[name]
        fitted = block_format.covering(reals) if name == "nvfp4" else block_format
        arrays.append(pq.quantize_blocks(reals, fitted, axis))
    return arrays[0], arrays[1]


def block_values(a: pq.BlockArray, b: pq.BlockArray) -> list[NDArray[np.float64]]:
    """The values of every pair of blocks [..., M, N], in order: float64 holds them and every sum on the way."""
    x, w = (
        array.format.element.align(array.codes)
        * (array.format.decode_scales(array.scales)[..., None] * array.format.element.step)
        for array in (a, b)
    )
    return [x[..., g, :] @ np.swapaxes(w[..., g, :], -1, -2) for g in range(x.shape[-2])]


def in_float32(values: list[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Each rounded to float32 and added in it."""
    total = np.zeros(values[0].shape, np.float32)
    for value in values:
        total += value.astype(np.float32)
    return total


def in_fixed_point(values: list[NDArray[np.float64]], register: pq.FixedPoint) -> tuple[NDArray[np.int64], int]:
    """A register that cuts and saturates, and how many outputs met a limit."""
    half = 1 << (register.bits - 1)
    total, met = np.zeros(values[0].shape, np.int64), np.zeros(values[0].shape, bool)
    for value in values:
        exact = total + np.floor(np.ldexp(value, -register.weight)).astype(np.int64)
        total = np.clip(exact, -half, half - 1)
        met |= total != exact
    return total, int(np.count_nonzero(met))


def fitted_register(values: list[NDArray[np.float64]], bits: int) -> pq.FixedPoint:
    """A register that some of the sums leave: its limit is at the standard deviation of the results or above."""
    deviation = float(np.std(np.sum(values, axis=0)))
    return pq.FixedPoint(bits, math.frexp(deviation)[1] - (bits - 1), "saturate")


def measure(shape: Shape, group: BlockGroup, plan: Plan, step: Callable[[int, str], None]) -> list[Row]:
    """The registers of a group in one shape, and what other libraries make of its operands."""
    a, b = draw(group.name, shape, plan.seed)
    step(0, "oracle")
    values = block_values(a, b)
    calls: dict[tuple[str, str], Contender] = {}
    facts: dict[str, tuple[pq.MatmulResult, float | None]] = {}
    for case in group.cases:
        register: Any = pq.Float32()
        clamped = None
        right: NDArray[Any] = in_float32(values) if case == "float32 in order" else np.empty(0)
        if case != "float32 in order":
            register = fitted_register(values, int(case.split()[1]))
            right, met = in_fixed_point(values, register)
            clamped = met / shape.outputs
        facts[case] = pq.matmul(a, b, register, statistics=False), clamped
        calls |= {(case, how): call for how, call in _contenders(a, b, register, right, shape).items()}
        step(1, "")
    peers = block_peers(a, b, in_float32(values)) if group.peers else {}
    calls |= {(name, "prepared"): call for name, call in peers.items()}
    steps = len(group.cases) + group.peers
    timed, wrong = race(calls, shape, plan, lambda: step(steps, "timing"))
    rows = []
    for name in (*group.cases, *peers):
        timings = {how: timed[name, how] for case, how in calls if case == name}
        errors = max(wrong[name, how] for case, how in calls if case == name)
        if name in peers:
            rows.append(Row(shape, group.operands, name, timings, errors, peer=True))
            continue
        result, clamped = facts[name]
        kind: Kind = "block" if name == "float32 in order" else "block_fixed"
        wanted = None if plan.targets == "none" else target(kind, shape.attention, plan.targets == "portable")
        certified = None if clamped is None else result.certificate.certified / shape.outputs
        rows.append(
            Row(
                shape, group.operands, name, timings, errors, clamped, result.kernel, result.certificate.name,
                certified, wanted,
            )
        )  # fmt: skip
    return rows


def of_apyfloat(plan: Plan) -> list[Row]:
    """The row of APyFloat on small matrices of E4M3 values; none if apytypes is not installed."""
    shape, rng = plan.peer_shape, np.random.default_rng(plan.seed)
    a, b = (
        pq.E4M3.fake_quantize(rng.normal(size=sizes))
        for sizes in ((shape.rows, shape.depth), (shape.depth, shape.columns))
    )
    call = apyfloat(a, b)
    if call is None:
        return []
    call()
    wrong = call.wrong()
    timed = interleaved(baseline(shape, plan.seed), {"own": call}, plan.rounds, plan.least)
    return [Row(shape, "e4m3 x e4m3", "apytypes APyFloat", {"prepared": timed["own"]}, wrong, peer=True)]


def _contenders(
    a: pq.BlockArray, b: pq.BlockArray, register: Any, right: NDArray[Any], shape: Shape
) -> dict[str, Contender]:  # fmt: skip
    """The product with operands that were multiplied before, and with new ones: the left, in attention both."""

    def new(array: pq.BlockArray) -> pq.BlockArray:
        return pq.BlockArray(array.codes, array.scales, array.format, array.depth, array.axis)

    def check(result: pq.MatmulResult) -> int:
        return int(np.count_nonzero(result.acc != right))

    kept_a, kept_b, weights = new(a), new(b), new(b)
    return {
        "prepared": Contender(lambda: pq.matmul(kept_a, kept_b, register, statistics=False), check),
        "fresh": Contender(
            lambda: pq.matmul(new(a), new(b) if shape.attention else weights, register, statistics=False), check
        ),
    }
