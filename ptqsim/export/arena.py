"""Places of edges in one array: two that live at the same time do not overlap."""

from __future__ import annotations

from math import prod

from ptqsim.integer_only import Plan
from ptqsim.integer_only.plan import PIXELS


def places(plan: Plan) -> tuple[dict[str, int], int]:
    """The offset of every edge, and the size of the array, in integers.

    Every edge is put at the lowest place that is free from the step that makes it to the last that takes it.
    """
    last = plan.last_use | {plan.output: len(plan.steps)}
    made: list[tuple[str, int]] = [(PIXELS, -1), *((step.name, index) for index, step in enumerate(plan.steps))]
    living: list[tuple[int, int, int]] = []  # start, stop, last step
    offsets: dict[str, int] = {}
    size = 0
    for name, index in made:
        living = sorted(one for one in living if one[2] >= index)
        wanted, start = prod(plan.edges[name].shape), 0
        for begin, end, _ in living:
            if start + wanted <= begin:
                break
            start = max(start, end)
        living.append((start, start + wanted, last.get(name, index)))
        offsets[name], size = start, max(size, start + wanted)
    return offsets, size
