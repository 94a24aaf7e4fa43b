"""Everything that `ptqsim bench` measures, in order, under one progress bar."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatch

from benchmarks.products import blocks, measure, overflow_peers, threads
from benchmarks.products.blocks import BlockGroup
from benchmarks.products.cases import Group, groups_for
from benchmarks.products.measure import Plan, Row
from benchmarks.products.overflow_peers import Verdict
from benchmarks.products.shapes import Shape
from benchmarks.products.threads import Threaded
from ptqsim.cli.framework.output import Output


@dataclass(slots=True)
class Results:
    """All measurements: datapaths, two threads relative to one, and libraries with a register of P bits."""

    rows: list[Row] = field(default_factory=list)
    threaded: list[Threaded] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows) + len(self.threaded) + len(self.verdicts)

    @property
    def wrong(self) -> list[Row]:
        """The simulator's own rows with outputs that the oracle does not have."""
        return [row for row in self.rows if row.wrong and not row.peer]


def run(only: str, plan: Plan, output: Output) -> Results:
    """Measure all that matches.

    Parameters
    ----------
    only : str
        A pattern for shape/operands/case; everything if empty.
    plan : Plan
        How to measure.
    output : Output
        Where progress is shown.
    """
    results = Results()
    work: list[tuple[Shape, Group | BlockGroup]] = []
    for shape in plan.shapes:
        work += [(shape, group) for group in groups_for(shape, only)]
        work += [(shape, group) for group in blocks.groups_for(shape, only)]
    judged = [
        (name, maker, overflow)
        for name, maker in overflow_peers.installed().items()
        for overflow in ("wrap", "saturate")
        if fnmatch(f"small/overflow/{name} {overflow}", f"*{only}*")
    ]
    total = sum(group.weight(plan.rounds) for _, group in work) + len(judged) * plan.rounds
    done = 0
    with output.progress("Measuring", "step") as told:
        for shape, group in work:

            def step(steps: int, state: str, prefix: str = f"{shape.name} {group.operands}") -> None:
                nonlocal done
                done += steps
                told(done, total, f"{prefix}: {state}" if state else prefix)

            if isinstance(group, BlockGroup):
                results.rows += blocks.measure(shape, group, plan, step)
                continue
            if group.cases or group.peers or group.float_peers:
                results.rows += measure.measure(shape, group, plan, step)
            if threads.cores() > 1:
                for case in group.threads:
                    step(plan.rounds, f"two threads, {case.name}")
                    results.threaded.append(
                        threads.measure(shape, group.operands, case, plan.rounds, plan.least, plan.seed)
                    )
        if fnmatch("small/e4m3 x e4m3/peers", f"*{only.lower()}*"):
            told(done, total, "apytypes, APyFloat")
            results.rows += blocks.of_apyfloat(plan)
        for name, maker, overflow in judged:
            told(done, total, f"{name}, {overflow}")
            results.verdicts.append(overflow_peers.judge(name, maker, overflow, plan))
            done += plan.rounds
    return results
