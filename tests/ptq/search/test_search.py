"""The shared search against a plain full grid, and the objectives against NumPy and SciPy."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

import ptqsim as pq
from ptqsim.ptq.search import candidates as search_space
from ptqsim.ptq.search.alternate import SearchSchedule, alternate
from ptqsim.ptq.search.capture import OperationData
from ptqsim.ptq.search.objectives import OBJECTIVES
from tests.ptq import names


def random_data(seed: int, groups_a: int = 2, groups_b: int = 2, rows: int = 700) -> OperationData:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(groups_a, 8, rows // 8, 12, generator=generator)
    b = torch.randn(groups_b, 8, 12, 9, generator=generator)
    out = torch.matmul(a, b)
    return OperationData(a, b, out, torch.randn(out.shape, generator=generator) ** 3, images=8)


def in_type(data: OperationData, dtype: torch.dtype) -> OperationData:
    assert data.grad is not None
    return replace(data, a=data.a.to(dtype), b=data.b.to(dtype), out=data.out.to(dtype), grad=data.grad.to(dtype))


def numpy_scores(name: str, out: np.ndarray, out_hat: np.ndarray, grad: np.ndarray) -> list[float]:
    from scipy.stats import pearsonr

    scores = []
    for o, h, g in zip(out.astype(float), out_hat.astype(float), grad.astype(float), strict=True):
        match name:
            case "mse":
                scores.append(((h - o) ** 2).mean())
            case "cosine":
                scores.append(1 - (o * h).sum() / np.sqrt((o**2).sum() * (h**2).sum()))
            case "pearson":
                scores.append(1 - pearsonr(o.ravel(), h.ravel()).statistic)
            case "similarity":
                images = zip(o.reshape(8, -1), h.reshape(8, -1), strict=True)
                scores.append(sum(1 - pearsonr(x, y).statistic for x, y in images))
            case "hessian":
                scores.append((g**2 * (h - o) ** 2).sum())
    return scores


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 2e-4), (torch.float64, 1e-10)])  # by kernels, by torch
@pytest.mark.parametrize("name", names.OBJECTIVES)
def test_objectives_agree_with_numpy_and_scipy(name: str, dtype: torch.dtype, rtol: float) -> None:
    data = in_type(random_data(1), dtype)
    assert data.grad is not None
    out_hat = data.out + 0.1 * torch.randn(data.out.shape, generator=torch.Generator().manual_seed(2), dtype=dtype)
    ours = OBJECTIVES[name](data, out_hat)
    theirs = numpy_scores(name, data.out.numpy(), out_hat.numpy(), data.grad.numpy())
    np.testing.assert_allclose(ours, theirs, rtol=rtol)


@pytest.mark.parametrize("name", ["cosine", "pearson"])
def test_an_output_without_direction_gets_the_worst_score(name: str) -> None:
    data = random_data(1)
    assert OBJECTIVES[name](data, torch.zeros_like(data.out)).tolist() == [1.0, 1.0]


def test_an_image_without_direction_gets_the_worst_similarity() -> None:
    data = random_data(1)
    assert OBJECTIVES["similarity"](data, torch.full_like(data.out, 3.0)) == pytest.approx([8.0, 8.0], rel=1e-3)
    assert OBJECTIVES["similarity"](data, -data.out) == pytest.approx([16.0, 16.0])


def plain_search(data, a_space, b_space, b_formats, name, rounds):  # type: ignore[no-untyped-def]
    """Algorithm 1 as it stands: every candidate, every round, in float64 NumPy on decode(encode(x))."""

    def decoded(x, formats):  # type: ignore[no-untyped-def]
        return np.stack(
            [f.decode(f.encode(part)) for f, part in itertools.zip_longest(formats, x, fillvalue=formats[0])]
        )

    a, b, out, grad = data.a.numpy(), data.b.numpy(), data.out.numpy(), data.grad.numpy()
    chosen_a = chosen_b = ()
    for _ in range(rounds):
        b_hat = decoded(b, b_formats)
        scores = np.array([numpy_scores(name, out, decoded(a, f) @ b_hat, grad) for f in a_space.formats])
        scores = scores.sum(axis=1, keepdims=True) if a_space.groups == 1 else scores
        chosen_a = tuple(scores.argmin(axis=0))
        a_hat = decoded(a, a_space.choose(chosen_a))
        scores = np.array([numpy_scores(name, out, a_hat @ decoded(b, f), grad) for f in b_space.formats])
        scores = scores.sum(axis=1, keepdims=True) if b_space.groups == 1 else scores
        chosen_b = tuple(scores.argmin(axis=0))
        b_formats = b_space.choose(chosen_b)
    return chosen_a, chosen_b


@pytest.mark.parametrize("groups", [(1, 1), (1, 3), (2, 2)])
@pytest.mark.parametrize("name", ["cosine", "hessian", "similarity"])
@pytest.mark.parametrize("bits", [3, 6])
def test_pruning_and_fixed_points_change_no_choice(groups: tuple[int, int], name: str, bits: int) -> None:
    data = random_data(bits, *groups)
    ratios = search_space.linear_ratios(0.0, 1.2, 40)
    a_space = search_space.uniform(search_space.group_max(data.a), bits, ratios)
    b_space = search_space.uniform(search_space.group_max(data.b), bits, ratios)
    start = search_space.uniform(search_space.group_max(data.b), bits, [1.0]).choose([0] * groups[1])
    found = alternate(data, (a_space, b_space), ((), start), OBJECTIVES[name], SearchSchedule(3), constant_b=False)
    assert (found.a, found.b) == plain_search(data, a_space, b_space, start, name, 3)
    assert found.evaluated + found.pruned <= 6 * 40
    assert (found.pruned > 0) == (name in ("hessian", "similarity"))


def test_thread_count_changes_no_bit() -> None:
    data = random_data(5, rows=4000)
    ratios = search_space.linear_ratios(0.5, 1.2, 20)
    space = (
        search_space.uniform(search_space.group_max(data.a), 4, ratios),
        search_space.uniform(search_space.group_max(data.b), 4, ratios),
    )
    start = space[1].choose([0, 0])
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(
                alternate(data, space, ((), start), OBJECTIVES["hessian"], SearchSchedule(2), constant_b=False)
            )
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1] == results[2]


def test_linear_ratios_try_beta_and_never_zero() -> None:
    assert search_space.linear_ratios(0, 1.2, 100)[-1] == pytest.approx(1.2)
    assert min(search_space.linear_ratios(0, 1.2, 100)) == pytest.approx(0.012)


def test_softmax_candidates_are_those_of_the_paper() -> None:
    """Section 4.1: Delta_R1 in {1/2^k, ..., 1/2^(k+10)}, and Delta_R2 = 2^-(k-1) for all."""
    space = search_space.twin_softmax(1, 8, 11)
    assert [row[0].scale for row in space.formats] == [2.0 ** -(8 + i) for i in range(11)]
    assert {row[0].scale * 2 ** row[0].shift for row in space.formats} == {2.0**-7}


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_gelu_pairs_cover_the_negatives_and_stay_powers_of_two_apart(bits: int) -> None:
    lowest = 0.16997124254703522
    ratios = search_space.linear_ratios(0.0, 1.2, 50)
    fixed = [row[0] for row in search_space.twin_gelu([6.0], bits, ratios, "fixed_negative").formats]
    assert len({f.scale for f in fixed}) == 1
    assert [f.shift for f in fixed] == list(range(len(fixed)))
    assert fixed[0].scale * (2 ** (bits - 1) - 1) >= lowest
    assert (
        fixed[-1].scale * 2 ** fixed[-1].shift >= 1.2 * 6.0 / 2 ** (bits - 1) > fixed[-2].scale * 2 ** fixed[-2].shift
    )
    for ratio, row in zip(ratios, search_space.twin_gelu([6.0], bits, ratios, "covering").formats, strict=True):
        f = row[0]
        assert np.float32(ratio * 6.0 / 2 ** (bits - 1)) == f.scale * 2**f.shift
        top = 2 ** (bits - 1) - 1
        assert f.shift == 0 or f.scale * top >= lowest
        assert f.scale / 2 * top < lowest or f.shift == search_space.MAX_SHIFT


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: search_space.linear_ratios(1.2, 0.5, 10), "alpha=1.2"),
        (lambda: search_space.linear_ratios(0, 1.2, 0), "n=0"),
        (lambda: search_space.twin_softmax(1, 8, 25), "max_shift is 25"),
        (lambda: search_space.twin_gelu([1.0], 8, [1.0], "fixed_negativ"), "fixed_negative"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()


def test_every_scale_is_a_float32() -> None:
    grids = [
        search_space.uniform([3.3, 0.7], 6, search_space.linear_ratios(0, 1.2, 30)),
        search_space.twin_gelu([3.3], 6, search_space.linear_ratios(0, 1.2, 30), "covering"),
        search_space.twin_gelu([3.3], 6, search_space.linear_ratios(0, 1.2, 30), "fixed_negative"),
    ]
    for grid in grids:
        assert all(f.scale == float(np.float32(f.scale)) for row in grid.formats for f in row)
    assert isinstance(grids[1].formats[0][0], pq.TwinGELU)
