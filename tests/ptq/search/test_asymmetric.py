"""The search of a scale and a zero point: candidates, and the choice against the same search written plainly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.ptq.search import candidates as search_space
from ptqsim.ptq.search.alternate import SearchSchedule, alternate
from ptqsim.ptq.search.asymmetric import AsymmetricCandidates, asymmetric, group_ranges, nearest_to
from ptqsim.ptq.search.capture import OperationData
from ptqsim.ptq.search.objectives import OBJECTIVES
from ptqsim.ptq.search.race import Outcome

FLOATS = st.floats(-(2.0**100), 2.0**100, width=32)


@given(bits=st.integers(2, 16), ends=st.tuples(FLOATS, FLOATS), ratio=st.floats(0.125, 1.5))
def test_candidates_are_those_of_the_formula(bits: int, ends: tuple[float, float], ratio: float) -> None:
    (low, high), top = group_ranges(torch.tensor([ends]))[0], 2**bits - 1
    assert low == min(0.0, *ends) or ends == (0, 0)
    assert high == max(0.0, *ends) or ends == (0, 0)
    space = asymmetric([(low, high)], bits, [ratio])
    exact = -Fraction(low) * top / (Fraction(high) - Fraction(low))
    first = int(space.zero_points[space.first[0], 0])
    assert abs(first - exact) <= Fraction(1, 2) + Fraction(1, 2**30)
    stride = max(1, 2 ** (bits - 5))
    every = [z for z in range(2**bits) if (z - first) % stride == 0]
    assert space.zero_points[:, 0].tolist() == every
    assert len(every) == min(32, 2**bits)
    expected = max(float(np.float32(ratio * (high - low) / top)), float(np.finfo(np.float32).tiny))
    assert space.scales.tolist() == [[expected]]
    formats = [space.choose([c])[0] for c in range(len(every))]
    assert [(f.signed, f.scale, f.zero_point) for f in formats] == [(False, expected, z) for z in every]


def test_a_range_of_one_sign_ends_at_zero() -> None:
    x = torch.tensor([[[0.5, 2.0]], [[-3.0, -1.0]], [[0.0, 0.0]], [[-1.0, 3.0]]])
    assert group_ranges(x) == [(0, 2), (-3, 0), (0, 1), (-1, 3)]
    space = asymmetric(group_ranges(x), 4, [1.0], placed=False)
    formats = space.choose([0] * 4)
    assert [f.zero_point for f in formats] == [0, 15, 0, 4]
    assert not space.is_placed
    # The end of a range is a code, but for the half step by which the zero point is rounded.
    for fmt, (low, high) in zip(formats, group_ranges(x), strict=True):
        assert abs(fmt.aligned_min * fmt.scale - low) <= fmt.scale / 2 + 1e-6
        assert abs(fmt.aligned_max * fmt.scale - high) <= fmt.scale / 2 + 1e-6


def test_zero_points_of_one_score_stay_near_the_one_held() -> None:
    outcome = Outcome(np.zeros(3), ((0, 1, 5), (2,), (3, 5)), 6)
    assert nearest_to(outcome, (4, 0, 4)) == (5, 2, 3)


def data_of(seed: int, groups: tuple[int, int]) -> OperationData:
    generator = torch.Generator().manual_seed(seed)
    offset = torch.tensor([1.5, -0.7, 0.0])
    a = torch.randn(groups[0], 8, 60, 10, generator=generator).exp() - offset[: groups[0], None, None, None]
    b = torch.randn(groups[1], 8, 10, 7, generator=generator) + offset[: groups[1], None, None, None] / 2
    out = torch.matmul(a, b)
    return OperationData(a, b, out, torch.randn(out.shape, generator=generator) ** 3, images=8)


def scores_of(name: str, data: OperationData, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The objective of every group, from its definition."""
    assert data.grad is not None
    o, grad, o_hat = data.out.double().numpy(), data.grad.double().numpy(), a @ b
    if name == "hessian":
        found: NDArray[np.float64] = (grad**2 * (o_hat - o) ** 2).sum(axis=(1, 2, 3))
        return found
    dots = [(x * y).sum(axis=(1, 2, 3)) for x, y in ((o, o_hat), (o, o), (o_hat, o_hat))]
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(1 - dots[0] / np.sqrt(dots[1] * dots[2]), nan=1.0)


def rounded(
    x: torch.Tensor, scales: NDArray[np.float64], zero_points: NDArray[np.int64], bits: int
) -> NDArray[np.float64]:
    """Values of unsigned codes, by the definition of a zero point, for a scale and a zero point of each group."""
    s, z = (each[:, None, None, None] for each in (np.float32(scales), zero_points))
    codes = np.clip(np.rint(x.numpy() / s) + z, 0, 2**bits - 1)
    return (codes - z) * s.astype(np.float64)


def plainly(
    name: str, data: OperationData, spaces: tuple[AsymmetricCandidates, AsymmetricCandidates], rounds: int, bits: int
) -> list[tuple[list[float], list[int]]]:
    """Scales and zero points of both operands: every candidate of every line, in float64."""
    xs = data.a, data.b
    space_of = dict(enumerate(spaces))
    place = {k: s.zero_points[list(s.first), np.arange(s.groups)] for k, s in space_of.items()}
    # Algorithm 1 line 8: the whole range.
    scale = {k: np.float32([(high - low) / (2**bits - 1) for low, high in group_ranges(x)]) for k, x in enumerate(xs)}
    for _ in range(rounds):
        for k, space in space_of.items():
            fixed = rounded(xs[1 - k], scale[1 - k], place[1 - k], bits)

            def best(trials: list[tuple[NDArray[np.float64], NDArray[np.int64]]]) -> NDArray[np.intp]:
                scores = []
                for s, z in trials:
                    tried = rounded(xs[k], s, z, bits)  # noqa: B023
                    found = scores_of(name, data, *((tried, fixed) if k == 0 else (fixed, tried)))  # noqa: B023
                    scores.append(found.sum(keepdims=True) if space.groups == 1 else found)  # noqa: B023
                lowest: NDArray[np.intp] = np.array(scores).argmin(axis=0)
                return lowest

            columns = np.arange(space.groups)
            scale[k] = space.scales[best([(s, place[k]) for s in space.scales]), columns]
            place[k] = space.zero_points[best([(scale[k], z) for z in space.zero_points]), columns]
    return [(scale[k].tolist(), place[k].tolist()) for k in (0, 1)]


@pytest.mark.parametrize("groups", [(1, 1), (1, 3), (2, 2)])
@pytest.mark.parametrize("name", ["cosine", "hessian"])
@pytest.mark.parametrize("bits", [3, 6])
def test_the_choice_is_that_of_the_plain_search(groups: tuple[int, int], name: str, bits: int) -> None:
    data = data_of(bits, groups)
    ratios = search_space.linear_ratios(0.3, 0.9, 8)  # all of them clip, so that no two zero points give the same
    spaces = asymmetric(group_ranges(data.a), bits, ratios), asymmetric(group_ranges(data.b), bits, ratios)
    whole = [asymmetric(group_ranges(x), bits, [1.0], placed=False) for x in (data.a, data.b)]
    start = whole[0].choose([0] * groups[0]), whole[1].choose([0] * groups[1])
    found = alternate(data, spaces, start, OBJECTIVES[name], SearchSchedule(3), constant_b=False)
    expected = plainly(name, data, spaces, 3, bits)
    for space, chosen, (scales, zero_points) in zip(spaces, (found.a, found.b), expected, strict=True):
        formats = space.choose(chosen)
        assert [f.scale for f in formats] == scales
        assert [f.zero_point for f in formats] == zero_points
    assert found.evaluated + found.pruned <= 3 * (len(spaces[0]) + len(spaces[1]))


def test_the_rounds_end_with_one_that_changes_nothing() -> None:
    data = data_of(6, (2, 2))
    spaces = tuple(asymmetric(group_ranges(x), 4, [0.5, 0.7, 0.9]) for x in (data.a, data.b))
    start = spaces[0].typical, spaces[1].typical
    rounds = [
        alternate(data, spaces, start, OBJECTIVES["hessian"], SearchSchedule(n), constant_b=False)  # type: ignore[arg-type]
        for n in range(1, 12)
    ]
    last = rounds[-1].rounds
    assert 1 < last < 11
    assert (rounds[last - 2].a, rounds[last - 2].b) == (rounds[-1].a, rounds[-1].b)
    assert (rounds[last - 3].a, rounds[last - 3].b) != (rounds[-1].a, rounds[-1].b) or last == 2


def test_nothing_is_clipped_where_zero_points_are_equally_good() -> None:
    """With twice the range several zero points give the same values; the first one stays, and no tie is reported."""
    data = data_of(0, (1, 1))
    spaces = asymmetric(group_ranges(data.a), 4, [2.0]), search_space.uniform(search_space.group_max(data.b), 8, [1.0])
    start = spaces[0].typical, spaces[1].typical
    found = alternate(data, spaces, start, OBJECTIVES["mse"], SearchSchedule(1), constant_b=False)
    assert found.a == spaces[0].first
    assert not found.ties


def test_integers_and_floats_choose_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of(5, (2, 2))
    spaces = tuple(asymmetric(group_ranges(x), 4, [0.6, 0.8, 1.0]) for x in (data.a, data.b))
    start = spaces[0].typical, spaces[1].typical

    def search() -> tuple[tuple[int, ...], tuple[int, ...]]:
        found = alternate(data, spaces, start, OBJECTIVES["hessian"], SearchSchedule(2), constant_b=False)  # type: ignore[arg-type]
        return found.a, found.b

    by_integers = search()
    monkeypatch.setattr("ptqsim.ptq.search.outputs.products.takes_integers", lambda *_: False)
    assert search() == by_integers


def test_formats_are_those_that_an_unsigned_code_has() -> None:
    fmt = asymmetric([(-1.0, 3.0)], 8, [1.0]).typical[0]
    assert isinstance(fmt, pq.Uniform)
    assert (fmt.signed, fmt.zero_point) == (False, 64)
    assert fmt.encode([-1.0, 0.0, 3.0]).tolist() == [0, 64, 255]
