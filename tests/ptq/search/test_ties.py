"""Objectives that cannot tell candidates apart: what decides in their place, and that the report says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.cli.framework.output import Output
from ptqsim.cli.network.calibration_report import show
from ptqsim.ptq.calibration.mixed_precision.allocate import Allocation, optimum, pareto
from ptqsim.ptq.calibration.mixed_precision.assign import least_for_zero, tells_widths_apart
from ptqsim.ptq.calibration.selection import Loss
from ptqsim.ptq.search import candidates as search_space
from ptqsim.ptq.search.alternate import SearchResult, SearchSchedule, alternate
from ptqsim.ptq.search.capture import OperationData
from ptqsim.ptq.search.objectives import OBJECTIVES, Objective
from ptqsim.ptq.search.ranking import ranking_objective
from tests.ptq import names
from tests.ptq.networks import vision_transformer

RATIOS = search_space.linear_ratios(0.0, 1.2, 12)


def small(seed: int = 0, **options: object) -> nn.Module:
    torch.manual_seed(seed)
    kind = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2, "num_classes": 5}
    return vision_transformer(**{**kind, **options})  # type: ignore[arg-type]


def random_data(
    grad: torch.Tensor | float, columns: int = 6, a: torch.Tensor | None = None, b: torch.Tensor | None = None
) -> OperationData:
    """Two groups, 4 images of 5 rows."""
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(2, 20, 8, generator=generator) if a is None else a
    b = torch.randn(2, 8, columns, generator=generator) if b is None else b
    out = a @ b
    return OperationData(a, b, out, torch.zeros_like(out) + grad, images=4)


def searched(data: OperationData, objective: Objective, schedule: SearchSchedule = SearchSchedule(3)) -> SearchResult:  # noqa: B008
    spaces = tuple(search_space.uniform(search_space.group_max(x), 6, RATIOS) for x in (data.a, data.b))
    start = tuple(
        search_space.uniform(search_space.group_max(x), 6, [1.0]).choose([0] * len(x)) for x in (data.a, data.b)
    )
    return alternate(data, spaces, start, objective, schedule, constant_b=True)  # type: ignore[arg-type]


def test_without_a_gradient_the_choice_is_that_of_the_squared_error() -> None:
    data = random_data(0.0)
    found, expected = searched(data, OBJECTIVES["hessian"]), searched(data, OBJECTIVES["mse"])
    assert (found.a, found.b) == (expected.a, expected.b)
    assert {(t.operand, t.group, t.tied, t.of, t.decided_by) for t in found.ties} == {
        (operand, group, 12, 12, "mse") for operand in "ab" for group in (0, 1)
    }
    assert {t.reason for t in found.ties} == {"the gradient of the output is zero"}
    assert expected.ties == ()


@pytest.mark.parametrize("dead", [0.0, float("nan"), float("inf")])
def test_only_the_group_without_a_usable_gradient_falls_back(dead: float) -> None:
    """The other group keeps the choice of Eq. 7, which is not that of the squared error."""
    weights = torch.randn(2, 20, 6, generator=torch.Generator().manual_seed(5)) ** 5
    whole = searched(random_data(weights), OBJECTIVES["hessian"])
    squared = searched(random_data(weights), OBJECTIVES["mse"])
    part = weights.clone()
    part[0] = dead
    found = searched(random_data(part), OBJECTIVES["hessian"])
    assert (found.a[0], found.b[0]) == (squared.a[0], squared.b[0])
    assert (found.a[1], found.b[1]) == (whole.a[1], whole.b[1]) != (squared.a[1], squared.b[1])
    assert {t.group for t in found.ties} == {0}
    assert {t.reason for t in found.ties} == {f"the gradient of the output is {'zero' if dead == 0 else 'not finite'}"}


@pytest.mark.parametrize("factor", [2.0**-100, 2.0**-60, 2.0**60])
def test_the_size_of_the_gradient_changes_no_choice(factor: float) -> None:
    """Its squares would be beyond float32 on both sides."""
    weights = torch.randn(2, 20, 6, generator=torch.Generator().manual_seed(5))
    whole, found = (searched(random_data(weights * f), OBJECTIVES["hessian"]) for f in (1.0, factor))
    assert (found.a, found.b, found.ties) == (whole.a, whole.b, ())
    assert found.score == whole.score * factor**2


@pytest.mark.parametrize("name", names.OBJECTIVES)
@pytest.mark.parametrize("factor", [2.0**-80, 2.0**80])
def test_by_torch_sums_neither_underflow_nor_overflow(
    name: str, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptqsim.ptq.search.outputs.sums.is_plain", lambda x: False)
    data = random_data(1.0)
    noisy = data.out + 0.1 * torch.randn(data.out.shape, generator=torch.Generator().manual_seed(2))
    scaled = OperationData(data.a, data.b, data.out * factor, data.grad * factor, data.images)  # type: ignore[operator]
    expected = OBJECTIVES[name](data, noisy) * {"mse": factor**2, "hessian": factor**4}.get(name, 1.0)
    assert OBJECTIVES[name](scaled, noisy * factor) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["cosine", "pearson", "similarity"])
def test_correlations_do_not_choose_the_size(name: str) -> None:
    """Weights that are all the same: whatever their scale, the output is the exact one times a factor."""
    integers = torch.randint(-31, 32, (2, 20, 8), generator=torch.Generator().manual_seed(4)).float()
    integers[:, 0, 0] = -32.0  # so that a scale of 1 has no error
    found = searched(
        random_data(1.0, a=integers, b=torch.ones(2, 8, 6)), OBJECTIVES[name], SearchSchedule(1, first="b")
    )  # fmt: skip
    errors = [abs(min(round(32 / r), 31) * r / 32 - 1) for r in RATIOS]
    assert found.b == (int(np.argmin(errors)),) * 2
    if name != "similarity":  # whose means are float32: their rounding grows with the error
        assert {t.decided_by for t in found.ties if t.operand == "b"} == {"mse"}


@pytest.mark.parametrize("objective", [OBJECTIVES["similarity"], ranking_objective(1.0, 0.1)])
def test_one_value_per_image_has_no_correlation(objective: Objective) -> None:
    generator = torch.Generator().manual_seed(1)
    data = random_data(1.0, a=torch.randn(2, 4, 8, generator=generator), b=torch.randn(2, 8, 1, generator=generator))
    found, expected = searched(data, objective), searched(data, OBJECTIVES["mse"])
    assert (found.a, found.b) == (expected.a, expected.b)
    assert {t.tied for t in found.ties} == {12}


@pytest.mark.parametrize("name", ["cosine", "hessian", "similarity"])
def test_beside_zeros_an_operand_is_rounded_best_and_zeros_have_the_scale_of_their_maximum(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(2, 20, 8, generator=generator)
    data = random_data(1.0, a=a, b=torch.zeros(2, 8, 6))
    found = searched(data, OBJECTIVES[name])
    errors = [
        [float(((scale * np.clip(np.rint(x / scale), -32, 31) - x) ** 2).sum()) for scale in scales]
        for x, scales in ((x.numpy(), [np.float32(r * float(x.abs().max()) / 32) for r in RATIOS]) for x in a)
    ]
    assert found.a == tuple(np.argmin(errors, axis=1))
    assert [RATIOS[c] for c in found.b] == pytest.approx([1.0, 1.0])
    assert [t.decided_by for t in found.ties] == ["own_error"] * 2 + ["maximum"] * 2


@pytest.mark.parametrize("size", [1e-30, 1e25])
def test_ranking_does_not_depend_on_the_size_of_the_scores(size: float) -> None:
    generator = torch.Generator().manual_seed(4)
    out = torch.randn(2, 3, 4, 5, generator=generator)
    out_hat = out + 0.3 * torch.randn(out.shape, generator=generator)
    objective = ranking_objective(1.0, 0.2)
    found, expected = (
        objective(OperationData(out, out, out * s, None, 3), out_hat * s) for s in (size, 1.0)
    )  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-4)


def test_scores_that_are_all_the_same_have_no_order_to_keep() -> None:
    out = torch.full((2, 3, 4, 5), 0.1)
    noise = 0.1 * torch.randn(out.shape, generator=torch.Generator().manual_seed(4))
    data = OperationData(out, out, out, None, 3)
    for scores in (out, out + noise):
        found = ranking_objective(1.0, 0.2)(data, scores)
        assert found.tolist() == [3.0, 3.0]  # one per image, for want of a direction


@pytest.mark.parametrize("method", ["ptq4vit", "base_ptq", "liu2021", "ptq4vit_plus"])
def test_a_single_logit_is_kept(method: str, tmp_path: Path) -> None:
    """The cross-entropy of one class has no gradient, and one value no correlation; the output was constant."""
    model, images = small(num_classes=1), torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    nn.init.normal_(model.head.weight)
    options = {"n": 12} | ({"rounds": 1, "epochs": 2} if method == "ptq4vit_plus" else {})
    q = ptq.calibrate(model, images, method=method, **options)
    with torch.no_grad():
        exact = model(images)
    assert float((q(images) - exact).norm() / exact.norm()) < 0.1
    q.save(tmp_path / "q.safetensors")
    report = ptq.load(tmp_path / "q.safetensors", model).layers["head"].report
    assert report == q.layers["head"].report
    if method != "base_ptq":  # the cosine of 8 images tells scales apart
        assert {tie["decided_by"] for tie in report["ties"]} == {"mse"}  # type: ignore[attr-defined]
    json.dumps(q.info | {"report": dict(report)}, allow_nan=False)
    if method == "ptq4vit_plus":
        assert {step["divergence"] for step in q.info["selection"]} == {0.0}
        decided = [step for step in q.info["selection"] if "decided_by" in step]
        assert decided
        assert all(s["kept"] == (s["squared_error"] < s["squared_error_before"]) for s in decided)


def test_the_command_prints_what_decided(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    q = ptq.calibrate(small(num_classes=1), torch.ones(2, 3, 32, 32), n=4, rounds=1)
    show(Output(as_json=False), q, "title")
    printed = capsys.readouterr()
    row = next(line for line in (printed.out + printed.err).splitlines() if "head" in line and "hessian" in line)
    assert "the gradient of the output is zero (4 of 4 candidates tied)" in row
    assert "mse" in row


def test_logits_that_leave_no_gradient() -> None:
    """The head of the bundled model times 16: the arg max is the same, and softmax is 0 and 1 on the surest images."""
    model = ptq.load_model("vit_digits")
    data = ptq.load_data("digits", model, split="calibration")
    images = ptq.sample_images(data, 40, seed=0)
    with torch.no_grad():
        model.head.weight.mul_(16)  # type: ignore[union-attr, operator]
        model.head.bias.mul_(16)  # type: ignore[union-attr, operator]
        logits = model(images)
        sure = logits.topk(2).values.diff().flatten().argsort()[:4]
        assert float(-logits[sure].topk(2).values.diff().max()) > 104  # exp(-104) is 0 in float32
    q = ptq.calibrate(model, images[sure], w_bits=8, a_bits=8, n=5, rounds=1)
    assert (q(images).argmax(1) == logits.argmax(1)).float().mean() > 0.9
    for op in q.layers.values():
        assert {tie["reason"] for tie in op.report["ties"]} == {"the gradient of the output is zero"}  # type: ignore[attr-defined]


def test_a_held_out_loss_that_cannot_tell_leaves_it_to_the_squared_error() -> None:
    assert Loss(0.0, 1.0) < Loss(0.0, 2.0)
    assert Loss(0.5, 9.0) < Loss(0.6, 1.0)
    assert not Loss(float("inf"), 1.0) < Loss(0.1, 2.0)
    assert Loss(0.0, 1.0).entry(Loss(0.0, 1.0)) == {"divergence": 0.0}
    assert Loss(float("inf"), 1.0).entry(Loss(0.0, 1.0)) == {"divergence": None}


def test_mixed_precision_without_a_hessian_takes_the_nuclear_norm() -> None:
    model, images = small(num_classes=1), torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    nn.init.normal_(model.head.weight)
    few = {"w_bits": 4, "a_bits": 4, "n": 5, "rounds": 1}
    found, expected = (
        ptq.calibrate(model, images, mixed_precision=ptq.MixedPrecision(sensitivity=s, probes=1), **few).info  # type: ignore[arg-type]
        for s in ("hessian", "nuclear_norm")
    )
    assert found["mixed_precision"]["bits"] == expected["mixed_precision"]["bits"]
    assert found["mixed_precision"]["fallback"]["decided_by"] == "nuclear_norm"
    assert "fallback" not in expected["mixed_precision"]


def test_what_no_width_changes_is_told() -> None:
    assert tells_widths_apart(np.array([[0.0, 0.0], [2.0, 1.0]]))
    assert not tells_widths_apart(np.array([[0.0, 0.0], [2.0, 2.0]]))
    assert not tells_widths_apart(np.array([[0.0, 0.0], [np.nan, 1.0]]))
    assert least_for_zero(np.array([0.0, 3.0, 2.0])).tolist() == [2.0, 3.0, 2.0]


def test_equally_sensitive_modules_go_by_what_the_least_width_costs() -> None:
    """In the order of the modules the first would get the bits."""
    allocation = Allocation(np.array([[1.0, 0.5], [9.0, 1.0]]), np.array([[1.0, 2.0]] * 2), np.ones(2), 3.0)
    assert pareto(allocation).tolist() == [0, 1]


def test_the_optimum_is_never_worse_than_the_heuristic() -> None:
    """Costs that differ by more than the solver's tolerance of 1e-7 allows for."""
    omega = np.array([[1e12, 0.0], [2e-3, 1e-3], [5e-3, 1e-3]])
    allocation = Allocation(omega, np.array([[1.0, 2.0]] * 3), np.array([3.0, 1.0, 2.0]), 5.0)
    assert pareto(allocation).tolist() == [1, 0, 1]
    assert allocation.cost(optimum(allocation)) <= allocation.cost(pareto(allocation))


def test_bit_splitting_keeps_a_scale_that_float32_can_hold() -> None:
    model, images = small(), torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.blocks[0].mlp.fc1.weight.zero_()
    q = ptq.calibrate(model, images, method="bit_split", n=5, w_bits=4, a_bits=4)
    assert not q.layers["blocks.0.mlp.fc1"].weight_codes[0].real().any()  # type: ignore[index]
    assert torch.isfinite(q(images)).all()
