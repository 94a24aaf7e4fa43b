"""Programs of plans: the logits of the reference, whatever the registers, units, threads and images at a time."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import integer_only as io
from ptqsim import units
from ptqsim.integer_only import execution, programs
from ptqsim.kernels.runtime import machine
from tests.integer_only.plans import FMT, IMAGES, PLAN, small_plan


def with_units(**chosen: Any) -> io.Plan:
    """The small plan with other units at some steps."""
    steps = tuple(replace(step, units=chosen[step.name]) if step.name in chosen else step for step in PLAN.steps)
    return io.Plan(steps, PLAN.image, PLAN.mean, PLAN.std, PLAN.logit_scale)


def expected(plan: io.Plan, accumulators: Any = None) -> list[list[int]]:
    return [io.reference(plan, image, accumulators or {})["logits"] for image in IMAGES]


@pytest.fixture
def no_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is executed step by step."""

    def refuse(*_: object) -> None:
        raise AssertionError("step by step")

    monkeypatch.setattr(execution, "_run", refuse)


REGISTERS = [
    pq.Accumulator(bits=32),
    pq.Accumulator(bits=40, overflow="trap"),
    pq.Accumulator(bits=9, overflow="saturate"),
    pq.Accumulator(bits=9),
    pq.Accumulator(bits=10, order=pq.Tree(lanes=4)),
    pq.Accumulator(bits=11, overflow="saturate", zero_point="correction"),
]


@pytest.mark.usefixtures("no_steps")
@pytest.mark.parametrize("accumulator", REGISTERS, ids=str)
def test_registers(accumulator: pq.Accumulator) -> None:
    chosen = {step.name: accumulator for step in PLAN.products()}
    assert io.execute(PLAN, IMAGES, chosen).tolist() == expected(PLAN, chosen)


@pytest.mark.usefixtures("no_steps")
def test_a_register_of_its_own_for_a_product() -> None:
    chosen = {"head": pq.Accumulator(bits=9, overflow="saturate"), "scores": pq.Accumulator(bits=8)}
    assert io.execute(PLAN, IMAGES, chosen).tolist() == expected(PLAN, chosen)
    assert io.execute(PLAN, IMAGES).tolist() == expected(PLAN) != expected(PLAN, chosen)


@pytest.mark.parametrize(
    "accumulator",
    [pq.Accumulator(bits=9, overflow="trap"), pq.Accumulator(order="split:2:8"), pq.Accumulator(alignment="deferred")],
    ids=str,
)
def test_what_is_not_proven_beforehand_has_no_program(accumulator: pq.Accumulator) -> None:
    with_it = {"head": accumulator}
    assert programs.run_programs(PLAN, IMAGES, with_it) is None
    assert programs.run_programs(PLAN, IMAGES, {}) is not None


def softmax(shift: int, **options: Any) -> units.Softmax:
    return units.Softmax.from_real(0.01, pq.TwinSoftmax(6, shift, **options), 5, score_bits=16)


FORMS = {
    "shifts of heads": {"softmax": (softmax(4), softmax(2))},
    "one softmax": {"softmax": (softmax(4),)},
    "no vector code": {"softmax": (softmax(4, range_choice="nearest"),) * 2},
    "one with vector code": {"softmax": (softmax(4), softmax(4, range_choice="nearest"))},
    "uniform softmax": {"softmax": (units.Softmax.from_real(0.01, pq.Uniform(6, 1 / 63, signed=False), 5, 16),) * 2},
    "another formulation": {"softmax": (units.Shiftmax.from_real(0.01, pq.TwinSoftmax(6, 4), 5, 16),) * 2},
    "twin": {"mean": (units.Rescale.from_real(0.002, pq.TwinGELU(6, 2, 0.02), acc_bits=20),)},
    "table": {"mean": (units.GELU.from_real(0.002, FMT, pq.TwinGELU(6, 2, 0.02), acc_bits=20),)},
    "zero point": {"values": (units.Rescale.from_real(0.002, pq.Uniform(6, 0.1, zero_point=5), acc_bits=20),)},
}


@pytest.mark.usefixtures("no_steps")
@pytest.mark.parametrize("name", FORMS)
def test_units(name: str) -> None:
    plan = with_units(**FORMS[name])
    for register in (pq.Accumulator(bits=32), pq.Accumulator(bits=10, overflow="saturate")):
        chosen = {step.name: register for step in plan.products()}
        assert io.execute(plan, IMAGES, chosen).tolist() == expected(plan, chosen)


@pytest.mark.usefixtures("no_steps")
@pytest.mark.parametrize("off", [("MATRIX",), ("MATRIX", "DOT"), ("MATRIX", "DOT", "PAIRS")], ids="-".join)
def test_processors_with_fewer_instructions(off: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in off:
        monkeypatch.setattr(machine, name, False)
    assert io.execute(with_units(), IMAGES).tolist() == expected(PLAN)


@pytest.mark.usefixtures("no_steps")
def test_images_at_a_time_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    many, wanted = np.concatenate([IMAGES] * 7), expected(PLAN) * 7
    before = pq.get_num_threads()
    try:
        for most in (1, 1 << 10, 1 << 21):
            monkeypatch.setattr(programs, "WORKING_BYTES", most)
            for threads in (1, 3):
                pq.set_num_threads(threads)
                plan = small_plan_again()
                assert io.execute(plan, many).tolist() == wanted
                assert io.execute(plan, many[:5]).tolist() == wanted[:5]
    finally:
        pq.set_num_threads(before)


def small_plan_again() -> io.Plan:
    return io.plan_from_plain(*io.plan_to_plain(PLAN))


@pytest.mark.usefixtures("no_steps")
def test_threads_of_the_caller_and_images_that_are_views() -> None:
    wanted = expected(PLAN)
    flipped = np.ascontiguousarray(IMAGES[:, :, ::-1])[:, :, ::-1]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: [io.execute(PLAN, flipped).tolist() for _ in range(20)], range(4)))
    assert all(one == wanted for some in found for one in some)


def test_logits_are_the_callers_own() -> None:
    first = io.execute(PLAN, IMAGES)
    first[:] = 0
    assert io.execute(PLAN, IMAGES).tolist() == expected(PLAN)


def test_few_programs_are_kept_and_none_is_part_of_the_plan() -> None:
    plan = small_plan()
    for count in (1, 2, 3):
        for bits in (20, 21, 22):
            chosen = {"head": pq.Accumulator(bits=bits)}
            assert io.execute(plan, IMAGES[:count], chosen).shape == (count, 5)
    assert len(programs._known[plan].idle) == programs.KEPT
    again = pickle.loads(pickle.dumps(plan))
    assert io.execute(again, IMAGES).tolist() == io.execute(plan, IMAGES).tolist()
