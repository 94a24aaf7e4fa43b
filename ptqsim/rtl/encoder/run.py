"""Rows of the residual stream through a block in hardware, and every edge beside the simulator's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.errors import ArgumentTypeError
from ptqsim.integer_only import Step, execute
from ptqsim.integer_only.plan import PIXELS
from ptqsim.rtl.encoder.hardware import EncoderBlock
from ptqsim.rtl.encoder.program import TileTarget
from ptqsim.rtl.simulation.engines import CXXRTL, build
from ptqsim.rtl.simulation.matmul import Simulated
from ptqsim.rtl.simulation.schedule import CycleSchedule

Edges = dict[str, NDArray[np.int64]]
"""Codes and integers of edges by name, the images first."""


class StepCycles(NamedTuple):
    """Instructions and cycles of a step of the plan, for one image.

    Parameters
    ----------
    step : str
        Its name.
    instructions, cycles, macs : int
        Instructions that it is made of, their cycles, and multiplications.
    utilization : float
        Multiplications over cycles times columns: the share of the multipliers' cycles.
    """

    step: str
    instructions: int
    cycles: int
    macs: int
    utilization: float


@dataclass(frozen=True, slots=True, eq=False)
class BlockSimulation:
    """Edges of the hardware beside those of the simulator.

    Parameters
    ----------
    hardware : EncoderBlock
        The specification that was built.
    engine : str
        The engine that ran it.
    found, wanted : dict of str to NDArray of int64
        All edges of the block, [images, ...], as read from the memory and as the simulator has them.
    cycles : NDArray of int64, shape (images, instructions)
        Cycles of every instruction, as the hardware counts them.
    build_seconds, run_seconds : float
        Wall time.
    """

    hardware: EncoderBlock
    engine: str
    found: Edges
    wanted: Edges
    cycles: NDArray[np.int64]
    build_seconds: float
    run_seconds: float

    @property
    def differing(self) -> dict[str, int]:
        """Number of values that differ, by edge."""
        return {name: int(np.count_nonzero(self.found[name] != wanted)) for name, wanted in self.wanted.items()}

    @property
    def equal(self) -> bool:
        """True if every value of every edge is equal to the bit."""
        return not any(self.differing.values())

    def steps(self) -> list[StepCycles]:
        """Cycles of every step for the first image; they are the same for all images of a shape."""
        found: dict[str, list[int]] = {}
        for one, cycles in zip(self.hardware.program.instructions, self.cycles[0].tolist(), strict=True):
            total = found.setdefault(one.step, [0, 0, 0])
            for place, value in enumerate((1, cycles, one.macs)):
                total[place] += value
        columns = self.hardware.columns
        return [
            StepCycles(name, count, cycles, macs, macs / (cycles * columns))
            for name, (count, cycles, macs) in found.items()
        ]


def simulate_block(
    hardware: EncoderBlock, images: ArrayLike, engine: str = CXXRTL, seed: int | None = None
) -> BlockSimulation:
    """Run images through a block in hardware, and compare every edge with the simulator's.

    Parameters
    ----------
    hardware : EncoderBlock
        The block to build.
    images : uint8 array [N, C, H, W]
        Pixels; the simulator takes them as far as the block.
    engine : str, optional
        One of `ENGINES`.
    seed : int, optional
        Seed of gaps between offers of words; None for no gaps.

    Raises
    ------
    ptqsim.rtl.MissingToolError
        If the engine is not installed.
    TypeError, ValueError
        If the images are not pixels of the shape that the network takes.
    """
    wanted = expected_edges(hardware, images)
    start = time.monotonic()
    simulated = build(hardware.module(), engine)
    built = time.monotonic()
    found, cycles = run_block(simulated, hardware, wanted[hardware.part.source], CycleSchedule(seed))
    return BlockSimulation(hardware, engine, found, wanted, cycles, built - start, time.monotonic() - built)


def expected_edges(hardware: EncoderBlock, images: ArrayLike) -> Edges:
    """Every edge of the block, as the simulator has it."""
    names, found = set(hardware.part.edges), {}

    def keep(step: Step, values: Mapping[str, NDArray[Any]], made: NDArray[Any]) -> None:
        if step.name in names:
            found[step.name] = made.astype(np.int64)

    execute(hardware.plan, images, hardware.accumulators, keep)
    found.setdefault(PIXELS, np.asarray(images).astype(np.int64))
    return {name: found[name] for name in hardware.part.edges}


def run_block(
    simulated: Simulated, hardware: EncoderBlock, source: ArrayLike, schedule: CycleSchedule | None = None
) -> tuple[Edges, NDArray[np.int64]]:
    """Edges and cycle counts of a block that an engine has built.

    Parameters
    ----------
    simulated : Simulated
        The module.
    hardware : EncoderBlock
        Its specification.
    source : integer array [N, tokens, channels]
        Codes of the edge that the block takes.
    schedule : CycleSchedule, optional
        Gaps in the streams.
    """
    codes = np.asarray(source)
    shape = hardware.part.edges[hardware.part.source].shape
    if codes.dtype.kind not in "ui":
        raise ArgumentTypeError(f"codes of the input are an array of {codes.dtype}; legal are integers")
    if codes.shape[1:] != shape or not len(codes):
        raise ValueError(f"codes of the input have the shape {codes.shape}; legal is [N, {', '.join(map(str, shape))}]")
    outputs = len(codes) * hardware.words
    seed = None if schedule is None else schedule.seed
    patience = 4 + -(-3 * cycles_at_most(hardware) // hardware.words)
    beats = {"in": {"in_code": codes.reshape(-1).astype(np.int64)}}
    words = simulated.stream(beats, outputs, {"trace": 1}, CycleSchedule(seed, patience))["out_word"]
    words = words.reshape(len(codes), hardware.words)
    found: Edges = {}
    places = hardware.places
    for name, edge in hardware.part.edges.items():
        addresses = places.addresses[name]
        taken = np.where(addresses < 0, 0, words[:, np.maximum(addresses, 0)])
        found[name] = taken if edge.coded else _signed(taken, places.word_bits)
    return found, words[:, places.edge_words :]


def cycles_at_most(hardware: EncoderBlock) -> int:
    """More cycles than the instructions for one image take: the limit after which hardware is taken for dead."""
    total = 0
    for one in hardware.program.instructions:
        words = one.a.length + one.b.length + one.out.length
        rows = int(np.prod([count for count, _ in one.a.outer]))
        tile = isinstance(hardware.program.targets[one.target], TileTarget)
        total += words if tile else 64 * words + 256 * rows
    return total


def _signed(words: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    return (words << (64 - bits)) >> (64 - bits)
