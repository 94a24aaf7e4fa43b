"""Plans: rearrangements, widths of edges, refusals, and execution against the reference in Python integers."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import integer_only as io
from ptqsim import units
from ptqsim.integer_only.moves import moved, table_of
from tests.integer_only.plans import FMT, IMAGES, PLAN, RNG, weights


def all_edges(plan: io.Plan, images: np.ndarray, **options: object) -> dict[str, np.ndarray]:
    found = {}
    io.execute(plan, images, observer=lambda step, values, made: found.setdefault(step.name, made), **options)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    "accumulator",
    [
        pq.Accumulator(bits=32),
        pq.Accumulator(bits=9, overflow="saturate"),
        pq.Accumulator(bits=10, overflow="wrap", order=pq.Tree(lanes=4)),
        pq.Accumulator(bits=32, alignment="deferred"),
    ],
)
def test_execution_equals_the_reference_at_every_edge(accumulator: pq.Accumulator) -> None:
    chosen = {step.name: accumulator for step in PLAN.products()}
    made = all_edges(PLAN, IMAGES, accumulators=chosen)
    for index, image in enumerate(IMAGES):
        expected = io.reference(PLAN, image, chosen)
        for name, values in made.items():
            assert np.ascontiguousarray(values[index]).ravel().tolist() == expected[name], name


def test_edges_state_shapes_formats_and_widths_that_hold() -> None:
    for name, values in all_edges(PLAN, IMAGES).items():
        edge = PLAN.edges[name]
        assert values.shape[1:] == edge.shape
        assert np.issubdtype(values.dtype, np.integer)
        low, high = (0, 1 << edge.bits) if edge.coded else (-(1 << (edge.bits - 1)), 1 << (edge.bits - 1))
        assert low <= values.min(), name
        assert values.max() < high, name
    assert PLAN.edges["q"].formats[1].scale == 0.2
    assert PLAN.edges["logits"].scale == 0.5
    with pytest.raises(ValueError, match="2 formats"):
        PLAN.edges["q"].format  # noqa: B018


def test_logits_depend_on_no_other_image() -> None:
    together = io.execute(PLAN, IMAGES)
    assert together.dtype == np.int64
    assert np.array_equal(together, np.concatenate([io.execute(PLAN, image[None]) for image in IMAGES]))


def test_plain_data_give_the_plan_back() -> None:
    again = io.plan_from_plain(*io.plan_to_plain(PLAN))
    assert again.edges == PLAN.edges
    assert np.array_equal(io.execute(again, IMAGES), io.execute(PLAN, IMAGES))
    header, arrays = io.plan_to_plain(PLAN)
    with pytest.raises(ValueError, match="can't be read"):
        io.plan_from_plain({**header, "image": 3}, arrays)
    header["steps"][0]["kind"] = "dance"
    with pytest.raises(ValueError, match="kind 'dance'"):
        io.plan_from_plain(header, arrays)


def test_a_table_of_indices_is_the_rearrangement() -> None:
    moves = (io.Reshape((2, 3, 4)), io.Roll(1, -1), io.Take(2, 1, 3), io.Transpose((2, 0, 1)), io.Pad(1, 2))
    x = RNG.integers(1, 100, (2, 24))
    table = table_of((24,), moves)
    for one, values in zip(moved(x, moves), x, strict=True):
        assert np.array_equal(one, np.where(table < 0, 0, values[table]))


@pytest.mark.parametrize(
    ("images", "error", "says"),
    [
        (IMAGES.astype(np.float32), TypeError, "uint8 \\[N, 3, 4, 4\\]"),
        (IMAGES.astype(np.int64), TypeError, "array of int64"),
        (IMAGES[:, :2], ValueError, r"shape \(3, 2, 4, 4\)"),
        (IMAGES[:0], ValueError, "at least 1"),
    ],
)
def test_images_that_are_no_pixels_are_refused(images: np.ndarray, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        io.execute(PLAN, images)


def test_steps_that_do_not_fit_are_refused() -> None:
    def plan(*steps: io.Step) -> io.Plan:
        return io.Plan(steps, (1, 2, 2), (0.5,), (0.5,), 1.0)

    flat = io.Move("flat", "pixels", (io.Reshape((4,)),))
    with pytest.raises(ValueError, match="takes 'nothing'"):
        plan(io.Move("flat", "nothing", ()))
    with pytest.raises(ValueError, match="made twice"):
        plan(flat, flat)
    with pytest.raises(ValueError, match="product 'p' can't take"):
        plan(flat, io.Product("p", "flat", weights=(weights(3, 2),)))
    narrow = units.Rescale.from_real(0.1, FMT, acc_bits=8)
    with pytest.raises(ValueError, match="acc of 8 bits, and edge 'flat' has 9; state a wider input"):
        plan(flat, io.Apply("a", ("flat",), (narrow,)))
    with pytest.raises(ValueError, match="3 units"):
        plan(flat, io.Apply("a", ("flat",), (narrow,) * 3))
    with pytest.raises(ValueError, match="at most 63"):
        plan(flat, io.Combine("c", ("flat",), ((1 << 60,),), np.zeros(1, np.int64)))


def test_an_overflow_that_traps_names_the_product() -> None:
    with pytest.raises(pq.AccumulatorOverflowError, match="'embed', group 0"):
        io.execute(PLAN, IMAGES, {"embed": pq.Accumulator(bits=6, overflow="trap")})
