"""The loss of a diagonal and a matrix of low rank: against its formula, and as a weighting of reconstruction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.calibration.reconstruction import low_rank
from ptqsim.ptq.calibration.reconstruction.low_rank import LowRankFisher
from ptqsim.ptq.calibration.reconstruction.recorded import outputs_of
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.network.tasks.task import kl_divergence

FEW: dict[str, Any] = {"method": "reconstruct", "w_bits": 3, "a_bits": 4, "n": 8, "rounds": 1, "batch": 4}

pytestmark = pytest.mark.filterwarnings("ignore:.*weights to be rounded")


def fisher_of(q: ptq.QuantizedModel, model: nn.Module, images: torch.Tensor) -> LowRankFisher:
    exact = QuantizedModel(model).model
    later = [op for name, op in q.layers.items() if name.startswith(("blocks.1", "head"))]
    return LowRankFisher(q.model, exact, "blocks.0", later, images, outputs_of(exact, "blocks.0", images)[0])


@pytest.fixture
def coarse(model: nn.Module, images: torch.Tensor) -> ptq.QuantizedModel:
    return ptq.calibrate(model, images, w_bits=3, a_bits=3, n=8, rounds=1)


def test_the_loss_is_that_of_its_formula(coarse: ptq.QuantizedModel, model: nn.Module, images: torch.Tensor) -> None:
    fisher = fisher_of(coarse, model, images)
    for bits in (3, 6):  # the network as it is at two moments
        for name, op in ptq.calibrate(model, images, w_bits=bits, a_bits=bits, n=8, rounds=1).layers.items():
            coarse.layers[name].formats = op.formats
            if op.constant_b is not None:
                coarse.layers[name].weight_codes = op.weight_codes  # type: ignore[attr-defined]
        fisher.update([])
    first = torch.randn(fisher.target.shape, generator=torch.Generator().manual_seed(0))
    second = torch.randn(fisher.target.shape, generator=torch.Generator().manual_seed(1))
    everything = torch.arange(len(images))
    assert float(fisher.loss(first, everything)) == pytest.approx(1.0, rel=1e-5)

    d, g = (torch.stack(rows).double().numpy() for rows in (fisher.errors, fisher.gradients))
    assert d.shape == g.shape == (2, fisher.target[0].numel())
    middle = g.T @ np.linalg.inv(d @ d.T) @ g

    def parts(found: torch.Tensor) -> tuple[float, float]:
        e = (found - fisher.target).abs().flatten(1).double().numpy()
        return float(np.mean([row @ middle @ row for row in e])), float((e**2 * g.mean(axis=0)).mean())

    (a, b), (c, e) = parts(first), parts(second)
    assert float(fisher.loss(second, everything)) == pytest.approx(0.5 * c / a + 0.5 * e / b, rel=1e-3)


def test_rows_are_means_over_all_images(coarse: ptq.QuantizedModel, model: nn.Module, images: torch.Tensor) -> None:
    fisher = fisher_of(coarse, model, images)
    fisher.update([])
    for name, op in coarse.layers.items():
        op.mode = "float" if name.startswith(("blocks.1", "head")) else "fake_quant"  # type: ignore[assignment]
    block, found = coarse.model.get_submodule("blocks.0"), []
    handle = block.register_forward_hook(lambda _m, _a, out: found.append(out.detach().requires_grad_()) or found[-1])
    with torch.enable_grad():
        outputs, exact = coarse.model(images), QuantizedModel(model)(images)
        kl_divergence(outputs / 20, exact / 20).sum().backward()
    handle.remove()
    (out,) = found
    assert torch.allclose(fisher.gradients[0], out.grad.abs().mean(dim=0).flatten(), rtol=1e-4, atol=1e-9)
    assert torch.allclose(fisher.errors[0], (out - fisher.target).abs().mean(dim=0).flatten(), rtol=1e-4, atol=1e-6)


def test_modes_are_left_as_they_were(coarse: ptq.QuantizedModel, model: nn.Module, images: torch.Tensor) -> None:
    fisher_of(coarse, model, images).update([])
    assert {op.mode for op in coarse.layers.values()} == {"fake_quant"}


def test_blocks_are_trained_by_it(model: nn.Module, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    updates: list[str] = []
    update = LowRankFisher.update

    def counted(self: LowRankFisher, operations: Any) -> None:
        assert {one.drop for one in operations} == {0.5}
        update(self, operations)
        assert {one.drop for one in operations} == {0.5}
        updates.append(self.part)

    monkeypatch.setattr(low_rank.LowRankFisher, "update", counted)
    given = {**FEW, "iterations": 40, "rank": 4}
    found = ptq.calibrate(model, images, weighting="low_rank", **given)
    parts = [part["part"] for part in found.info["reconstruction"]]
    assert updates == [part for part in parts for _ in range(4)]
    start, exact = ptq.calibrate(model, images, w_bits=3, a_bits=4, n=8, rounds=1), QuantizedModel(model)(images)
    assert float(kl_divergence(found(images), exact).mean()) < 0.8 * float(kl_divergence(start(images), exact).mean())
    again = ptq.calibrate(model, images, weighting="low_rank", **given)
    assert torch.equal(again(images), found(images))
    other = ptq.calibrate(model, images, weighting="low_rank", **{**given, "rank": 1})
    assert not torch.equal(other(images), found(images))


def test_a_rank_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="rank is 0; legal is 1 or more"):
        ptq.Reconstruct(weighting="low_rank", rank=0)
