"""The race of candidates: what it gives up, and that it chooses what the full grid chooses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import ptqsim as pq
from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.ptq.calibration.layer import calibrate_layer
from ptqsim.ptq.calibration.methods import make_method
from ptqsim.ptq.network.products.fake_quant import Format
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.search import candidates as search_space
from ptqsim.ptq.search import race
from ptqsim.ptq.search.capture import capture
from ptqsim.ptq.search.objectives import OBJECTIVES, Sums
from tests.ptq.search import plain_search
from tests.ptq.search.plain_search import Grid

LAYERS = [
    "blocks.1.attn.qkv",
    "blocks.2.attn.matmul_qk",
    "blocks.2.attn.matmul_pv",
    "blocks.3.mlp.fc1",
    "blocks.4.mlp.fc2",
]


@pytest.fixture(scope="module")
def network() -> QuantizedModel:
    return QuantizedModel(ptq.load_model("vit_digits"))


@pytest.fixture(scope="module")
def captured(network: QuantizedModel) -> Iterator[ptq.Captured]:
    images = ptq.sample_images(ptq.load_data("digits", ptq.load_model("vit_digits"), split="calibration"), 16, seed=1)
    with capture(network, images) as found:
        yield found


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("method", ["ptq4vit", "base_ptq", "liu2021"])
def test_the_choice_is_that_of_the_full_grid(
    network: QuantizedModel, captured: ptq.Captured, name: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"n": 40} | ({"ranking": False, "bias_correction": False} if method == "liu2021" else {})
    chosen = make_method(method, options)
    found = calibrate_layer(network.layers[name], captured[name], chosen, 4, 4)
    monkeypatch.setattr(race, "SURE", 1e30)  # nothing is given up that could still win
    whole = calibrate_layer(network.layers[name], captured[name], chosen, 4, 4)
    assert found.formats == whole.formats
    assert found.report["score"] == pytest.approx(whole.report["score"])


def grid_of(fmt: Format) -> Grid:
    if isinstance(fmt, pq.TwinSoftmax):
        return Grid("softmax", fmt.bits, fmt.scale, fmt.shift)
    if isinstance(fmt, pq.TwinGELU):
        return Grid("gelu", fmt.bits, fmt.scale, fmt.shift)
    assert isinstance(fmt, pq.Uniform)
    return Grid("uniform", fmt.bits, fmt.scale)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("method", ["ptq4vit", "base_ptq", "liu2021"])
def test_the_choice_is_that_of_the_search_written_plainly(
    network: QuantizedModel, captured: ptq.Captured, name: str, method: str
) -> None:
    n, bits, rounds = 20, 6, 2
    options = {"n": n, "rounds": rounds}
    options |= {"ranking": False, "bias_correction": False} if method == "liu2021" else {}
    op, data = network.layers[name], captured[name]
    found = calibrate_layer(op, data, make_method(method, options), bits, bits)

    alpha, beta = (0.0, 1.2) if method == "ptq4vit" else (0.5, 1.2)
    ratios = [alpha + (beta - alpha) * i / n for i in range(1, n + 1)]
    a, b = data.a.numpy(), data.b.numpy()
    grids = [plain_search.uniform_grids(x, bits, ratios) for x in (a, b)]
    if method == "ptq4vit" and op.a_kind == "softmax":
        grids[0] = plain_search.softmax_grids(len(a), bits)
    if method == "ptq4vit" and op.a_kind == "gelu":
        grids[0] = plain_search.gelu_grids(a, bits, beta)
    objective = {"ptq4vit": "hessian", "base_ptq": "cosine", "liu2021": "similarity"}[method]
    grad = None if data.grad is None else data.grad.numpy()
    expected = plain_search.search(
        (a, b), grids, objective, grad, images=data.images, rounds=rounds, first=1 if method == "liu2021" else 0
    )
    assert [[grid_of(fmt) for fmt in formats] for formats in (found.formats.a, found.formats.b)] == expected


def run_race(values: np.ndarray, name: str) -> tuple[tuple[int, ...], int, int]:
    """A race of candidates whose sums are known, [candidate, part, group, ...]: choice, finished, parts computed."""
    ratios = search_space.linear_ratios(0.0, 1.0, len(values))
    space = search_space.uniform([1.0] * values.shape[2], 8, ratios)
    computed = 0

    def partials(formats: tuple[object, ...], first: int) -> Iterator[Sums]:
        nonlocal computed
        for part in values[space.formats.index(formats)][first:]:  # type: ignore[arg-type]
            computed += 1
            yield part

    outcome = race.race(space, partials, values.shape[1], OBJECTIVES[name])
    return outcome.chosen, outcome.finished, computed


def test_what_is_surely_behind_is_given_up_early() -> None:
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.5, 1.5, (1, 64, 2, 20))  # parts of 20 units, the same for all candidates
    values = noise * (1 + 0.5 * np.abs(np.arange(30) - 11))[:, None, None, None]
    chosen, finished, computed = run_race(values * rng.uniform(0.99, 1.01, values.shape), "hessian")
    assert chosen == (11, 11)
    assert finished == 1
    assert computed < 3 * 64 + 30 * 4


def test_groups_keep_their_own_best() -> None:
    away = np.abs(np.arange(12)[:, None] - np.array([2, 9])) + 1.0  # [candidate, group]
    values = np.broadcast_to(away[:, None, :, None], (12, 32, 2, 8))
    assert run_race(values.copy(), "hessian")[0] == (2, 9)


def test_a_partial_score_beyond_the_best_ends_a_candidate() -> None:
    """One part holds nearly all of the score, and comes first: no statistics are needed."""
    values = np.full((20, 10, 1, 1), 1e-6)
    values[:, 0] = 1.0 + np.arange(20)[:, None, None]
    chosen, finished, computed = run_race(values, "hessian")
    assert (chosen, finished) == ((0,), 1)
    assert computed == 20 + 9


def test_candidates_that_are_alike_all_finish() -> None:
    values = np.ones((5, 16, 1, 6))
    chosen, finished, _ = run_race(values, "hessian")
    assert (chosen, finished) == ((0,), 5)  # the first of equals, as in the full grid


@pytest.mark.slow
def test_the_benchmark_compares_both_searches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads, out = torch.get_num_threads(), tmp_path / "found.json"
    try:
        assert app.main(["bench", "--calibration", "test_vit", "--images", "2", "--every", "-o", str(out)]) == 0
    finally:
        torch.set_num_threads(threads)
    found = json.loads(out.read_text())["calibration"]
    assert len(found["compared"]) == found["operations"]
    assert found["same_share"] > 0.9
    assert found["excess"] < 1e-2
    assert found["times"] == pytest.approx(found["plain_seconds"] / found["seconds"])
    assert "times faster" in capsys.readouterr().err


def test_an_unknown_model_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["bench", "--calibration", "test_vti"]) == 2
    assert "test_vit" in capsys.readouterr().err
