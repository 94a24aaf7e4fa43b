"""Measure cases: draw operands, ask the oracle, check, time, check again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

import ptqsim as pq
from benchmarks.products.cases import Case, Group
from benchmarks.products.contenders import Contender, Oracle, contenders
from benchmarks.products.float_peers import float_peers
from benchmarks.products.peers import exact_peers
from benchmarks.products.shapes import PEERS, SHAPES, Shape
from benchmarks.products.targets import target
from benchmarks.timing import Call, Timing, interleaved


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings of a measurement.

    Parameters
    ----------
    rounds, least : int and float, optional
        As `interleaved` takes them.
    seed : int, optional
        Of the operands.
    targets : {"native", "portable", "none"}, optional
        Which targets count: those of this processor's kernels, those of one without AVX-512, or none.
    shapes, peer_shape : tuple of Shape and Shape, optional
        Of the products; and of those of libraries with a register of P bits.
    """

    rounds: int = 9
    least: float = 0.005
    seed: int = 0
    targets: Literal["native", "portable", "none"] = "native"
    shapes: tuple[Shape, ...] = SHAPES
    peer_shape: Shape = PEERS

    @property
    def judged(self) -> bool:
        """True if every case has a target; without AVX-512 only exact and saturating products have one."""
        return self.targets == "native"


@dataclass(frozen=True, slots=True)
class Row:
    """Measurements of one case.

    Parameters
    ----------
    shape, operands, case : Shape and str
        What was measured.
    timings : mapping of str to Timing
        By "prepared" and "fresh"; either may be missing.
    wrong : int
        Number of outputs that differ from the oracle's, in any of the calls that were checked.
    clamped : float, optional
        Share of the outputs that overflowed at some step.
    kernel, certificate, certified : str and float, optional
        What ran and why it may; the share of outputs proven unable to overflow.
    target : float, optional
        Wanted ratio to the baseline, or None.
    of, share, of_target : str or None and float, optional
        The case of the same operands that it takes turns with, its speed as a share of that one's, and the wanted one.
    peer : bool, optional
        Whether it is another library's product.
    """

    shape: Shape
    operands: str
    case: str
    timings: Mapping[str, Timing]
    wrong: int
    clamped: float | None = None
    kernel: str = ""
    certificate: str = ""
    certified: float | None = None
    target: float | None = None
    of: str | None = None
    share: float | None = None
    of_target: float | None = None
    peer: bool = False

    @property
    def main(self) -> Timing:
        """The timing that the row is judged by first."""
        return self.timings.get("prepared") or self.timings["fresh"]

    @property
    def met(self) -> Literal["yes", "part", "no"] | None:
        """Verdict on the target: met in every setting, with prepared operands only, or missed; None without one."""
        if self.target is None:
            return None
        reached = [timing.ratio >= self.target for timing in self.timings.values()]
        if all(reached):
            return "yes"
        return "part" if self.main.ratio >= self.target else "no"


def baseline(shape: Shape, seed: int) -> Call:
    """numpy's float32 product in this shape."""
    rng = np.random.default_rng((seed, 1))
    lead = () if shape.batch == 1 else (shape.batch,)
    x = rng.normal(size=(*lead, shape.rows, shape.depth)).astype(np.float32)
    w = rng.normal(size=(*lead, shape.depth, shape.columns)).astype(np.float32)
    return lambda: x @ w


def check(calls: Mapping[tuple[str, str], Contender], wrong: dict[tuple[str, str], int]) -> None:
    """Bring up to date how many outputs of each call were wrong at most."""
    for name, call in calls.items():
        wrong[name] = max(wrong.get(name, 0), call.wrong())


def race(
    calls: Mapping[tuple[str, str], Contender], shape: Shape, plan: Plan, after_round: Callable[[], None]
) -> tuple[dict[tuple[str, str], Timing], dict[tuple[str, str], int]]:
    """Times of calls in the same rounds, and how many outputs of each were wrong before or after."""
    wrong: dict[tuple[str, str], int] = {}
    for call in calls.values():
        call()
    check(calls, wrong)
    named = {"\0".join(name): call for name, call in calls.items()}
    timed = interleaved(baseline(shape, plan.seed), named, plan.rounds, plan.least, after_round=after_round)
    check(calls, wrong)
    return {name: timed["\0".join(name)] for name in calls}, wrong


def measure(shape: Shape, group: Group, plan: Plan, step: Callable[[int, str], None]) -> list[Row]:
    """All cases of a group in one shape, in the same rounds; `step` hears of the progress, by `Group.weight`."""
    a, b = group.operands.draw(shape, plan.seed)
    known = Oracle(a, b)
    calls: dict[tuple[str, str], Contender] = {}
    cases = []
    for case in group.cases:
        step(0, f"oracle, {case.name}")
        case = case.with_bits(known.bits_needed()) if case.bits_as_needed else case
        cases.append(case)
        calls |= {(case.name, how): call for how, call in contenders(case, shape, a, b, known).items()}
        step(1, "")
    peers = exact_peers(shape, a, b, known.product()) if group.peers else {}
    peers |= float_peers(a, b) if group.float_peers else {}
    calls |= {(name, "prepared"): call for name, call in peers.items()}
    steps = len(group.cases) + (group.peers or group.float_peers)
    timed, wrong = race(calls, shape, plan, lambda: step(steps, "timing"))
    shares = {
        case.name: interleaved(
            calls[case.of, "prepared"], {"own": calls[case.name, "prepared"]}, plan.rounds, plan.least
        )["own"].ratio
        for case in cases
        if case.of is not None
    }
    check(calls, wrong)
    rows = []
    for case in cases:
        timings = {how: timed[name, how] for name, how in calls if name == case.name}
        errors = max(wrong[name, how] for name, how in calls if name == case.name)
        rows.append(_row(shape, group, case, timings, errors, known, a, b, plan, shares.get(case.name)))
    for name in peers:
        timings = {"prepared": timed[name, "prepared"]}
        rows.append(Row(shape, str(group.operands), name, timings, wrong[name, "prepared"], peer=True))
    return rows


def _row(
    shape: Shape, group: Group, case: Case, timings: Mapping[str, Timing], wrong: int, known: Oracle,
    a: pq.QuantizedArray, b: pq.QuantizedArray, plan: Plan, share: float | None,
) -> Row:  # fmt: skip
    result = pq.matmul(a, b, case.accumulator, case.statistics)
    stepped = case.accumulator.overflow != "wrap"
    return Row(
        shape,
        str(group.operands),
        case.name,
        timings,
        wrong,
        known.expected(case).clamped / shape.outputs if stepped else None,
        result.kernel,
        result.certificate.name,
        result.certificate.certified / shape.outputs if stepped else None,
        None if plan.targets == "none" else target(case.kind, shape.attention, plan.targets == "portable"),
        case.of,
        share,
        case.of_target if plan.judged else None,
    )
