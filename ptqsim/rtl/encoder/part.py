"""The steps of a plan that are one encoder block, and what a block in hardware refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ptqsim.datapath.spec import Accumulator, OverflowMode
from ptqsim.formats.base import NumberFormat
from ptqsim.integer_only import Combine, Edge, Plan, Product, Step, Total
from ptqsim.integer_only.programs import within_bounds
from ptqsim.integer_only.steps import DEFAULT


@dataclass(frozen=True, eq=False)
class Part:
    """Consecutive steps of a plan.

    Parameters
    ----------
    plan : Plan
        The network.
    name : str
        What the steps have in front of their names.
    steps : tuple of Step
        In the order of execution.
    source, output : str
        The edge that is taken from before, and the one that is left.
    """

    plan: Plan
    name: str
    steps: tuple[Step, ...]
    source: str
    output: str

    @property
    def edges(self) -> dict[str, Edge]:
        """Edges of the part by name, its source first."""
        names = [self.source, *(step.name for step in self.steps)]
        return {name: self.plan.edges[name] for name in names}


def block_names(plan: Plan) -> list[str]:
    """Prefixes of the encoder blocks of a plan, in their order: ``blocks.0.`` and so on."""
    found = (re.match(r"(?:.*\.)?blocks\.\d+\.", step.name) for step in plan.steps)
    return list(dict.fromkeys(one[0] for one in found if one))


def encoder_block(plan: Plan, block: int) -> Part:
    """The steps of one block of a plan.

    Raises
    ------
    ValueError
        If there is no such block, the network is a Swin Transformer, or a step of it has no hardware.
    """
    names = block_names(plan)
    _refuse_windows(names)
    if f"blocks.{block}." not in names:
        legal = f"legal is 0 to {len(names) - 1}" if len(names) > 1 else "legal is 0" if names else "it has none"
        raise ValueError(f"the network has no encoder block {block}; {legal}")
    name = f"blocks.{block}."
    return _part(plan, name, tuple(step for step in plan.steps if step.name.startswith(name)))


def whole_network(plan: Plan) -> Part:
    """All steps of a plan, from the pixels to the logits; errors as for `encoder_block`."""
    _refuse_windows(block_names(plan))
    return _part(plan, "", plan.steps)


def _refuse_windows(names: list[str]) -> None:
    if any(name.startswith("layers.") for name in names):
        raise ValueError(
            "the network is a Swin Transformer, whose windows are not generated; legal are a VisionTransformer and a "
            "VisionTransformerDistilled: try vit_digits"
        )


def _part(plan: Plan, name: str, steps: tuple[Step, ...]) -> Part:
    made = {step.name for step in steps}
    taken = list(dict.fromkeys(source for step in steps for source in step.sources if source not in made))
    used = {source for step in steps for source in step.sources}
    left = [step.name for step in steps if step.name not in used]
    if len(taken) != 1 or len(left) != 1:
        raise ValueError(
            f"the steps {name}* take {', '.join(taken)} and leave {', '.join(left)}; legal is a block with one edge in "
            "and one out"
        )
    for step in steps:
        if isinstance(step, Total):
            raise ValueError(
                f"step {step.name!r} sums over tokens, which is not generated; legal is a network whose head takes one"
            )
        if isinstance(step, Combine) and (len(step.sources) > 1 or step.multipliers != ((1,),)):
            raise ValueError(
                f"step {step.name!r} combines {', '.join(step.sources)} with factors, which is not generated; legal is "
                "the sum of one edge and a constant"
            )
    return Part(plan, name, steps, taken[0], left[0])


def checked_accumulators(part: Part, accumulators: Mapping[str, Accumulator] | None) -> dict[str, Accumulator]:
    """Accumulators of all products of a part.

    Raises
    ------
    ValueError
        If one traps, takes several products at a time, or ends with a sum of registers; or an operand has a zero point.
    """
    found = {}
    for step in part.steps:
        if not isinstance(step, Product):
            continue
        accumulator = (accumulators or {}).get(step.name, DEFAULT)
        if accumulator.overflow == OverflowMode.TRAP:
            raise ValueError(
                f"the accumulator of {step.name!r} traps, and a block has nobody to tell; legal are wrap and saturate"
            )
        if getattr(accumulator.order, "lanes", 1) > 1 or not within_bounds(accumulator):
            raise ValueError(
                f"the accumulator of {step.name!r} is {accumulator}; legal in a block are those that add one product "
                "after the other into one register, aligned with the product or the operand"
            )
        operands: list[NumberFormat] = [*part.plan.edges[step.left].formats]
        operands += part.plan.edges[step.right].formats if step.right else [one.format for one in step.weights]
        if any(getattr(fmt, "zero_point", 0) for fmt in operands):
            raise ValueError(f"an operand of {step.name!r} has a zero point; legal in a block are formats without one")
        found[step.name] = accumulator
    return found
