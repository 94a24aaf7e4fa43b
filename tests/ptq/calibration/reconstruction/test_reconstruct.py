"""Reconstruction from end to end: it brings blocks nearer to the float network, resumes, and comes back from disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import ptqsim as pq
from ptqsim import ptq
from ptqsim.ptq.calibration.reconstruction import distill
from ptqsim.ptq.calibration.reconstruction import reconstruct as module
from ptqsim.ptq.calibration.reconstruction import train as trained_by
from ptqsim.ptq.calibration.reconstruction.learned import mixed
from ptqsim.ptq.calibration.reconstruction.recorded import outputs_of
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.network.tasks.task import Classification, kl_divergence
from tests.ptq.calibration.reconstruction.cases import losses, made

pytestmark = pytest.mark.filterwarnings("ignore:.*weights to be rounded")


@pytest.mark.parametrize("w_granularity", ["tensor", "channel"])
def test_blocks_come_nearer_to_the_float_network(model: nn.Module, images: torch.Tensor, w_granularity: str) -> None:
    start = ptq.calibrate(model, images, w_bits=3, a_bits=4, n=8, rounds=1, w_granularity=w_granularity)
    found = made(model, images, iterations=60, w_granularity=w_granularity)
    assert [part["part"] for part in found.info["reconstruction"]] == [
        "patch_embed.proj", "blocks.0", "blocks.1", "head",
    ]  # fmt: skip
    assert all(after < before for before, after in losses(found)[1:])

    exact, _ = outputs_of(model, "blocks.1", images)
    errors = [float((outputs_of(q.model, "blocks.1", images)[0] - exact).square().mean()) for q in (start, found)]
    assert errors[1] < 0.9 * errors[0]
    assert errors[1] == pytest.approx(losses(found)[2][1], rel=1e-4)


def test_what_comes_out_are_codes(model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    found = made(model, images)
    found.save(tmp_path / "m.safetensors")
    read = ptq.load(tmp_path / "m.safetensors", model)
    for mode in ("fake_quant", "integer", "float"):
        found.mode = read.mode = mode
        assert torch.equal(found(images), read(images))
    assert torch.equal(found(images), model(images))
    found.mode = "integer"
    checks = ptq.verify(found, images, outputs=40).values()
    assert all(check.mismatches == 0 for check in checks)


def test_a_seed_gives_the_same_bits_on_any_number_of_threads(model: nn.Module, images: torch.Tensor) -> None:
    threads = torch.get_num_threads()
    outputs = []
    for count in (1, 2):
        torch.set_num_threads(count)
        outputs.append(made(model, images, iterations=4)(images))
    torch.set_num_threads(threads)
    assert torch.equal(*outputs)
    assert not torch.equal(outputs[0], made(model, images, iterations=4, seed=1)(images))


def test_an_interruption_loses_no_finished_part(
    model: nn.Module, images: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = made(model, images, state=tmp_path / "a")
    trained: list[str] = []
    train = module._train

    def interrupted(*arguments: Any) -> None:
        trained.append(arguments[2].name)
        if trained.count("blocks.1") == 1 and trained[-1] == "blocks.1":
            raise KeyboardInterrupt
        train(*arguments)

    monkeypatch.setattr(module, "_train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made(model, images, state=tmp_path / "b")
    again = made(model, images, state=tmp_path / "b")
    assert trained == ["patch_embed.proj", "blocks.0", "blocks.1", "blocks.1", "head"]
    assert torch.equal(again(images), whole(images))
    assert again.info == whole.info


def test_a_loss_that_is_not_finite_stops(model: nn.Module, images: torch.Tensor, monkeypatch: Any) -> None:
    from ptqsim.ptq.calibration.reconstruction.train import PartData

    loss = PartData.loss
    seen: list[int] = []

    def broken(self: PartData, found: torch.Tensor, chosen: Any) -> torch.Tensor:
        seen.append(1)
        return loss(self, found, chosen) * (float("nan") if len(seen) > 20 else 1)

    monkeypatch.setattr(PartData, "loss", broken)
    with pytest.raises(
        ValueError, match=r"reconstruction stopped at blocks\.0: the loss became nan at step \d+; .*try"
    ):
        made(model, images)
    monkeypatch.undo()
    assert torch.isfinite(made(model, images)(images)).all()


@pytest.mark.parametrize(
    ("twin", "words"), [(False, "the loss became nan at step 0"), (True, "step 0 failed: .*values are NaN")]
)
def test_parts_before_one_that_fails_are_kept(
    model: nn.Module, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, twin: bool, words: str
) -> None:
    trained: list[str] = []
    train = module._train

    def broken(*arguments: Any) -> None:
        trained.append(arguments[2].name)
        if trained == ["patch_embed.proj", "blocks.0", "blocks.1"]:
            monkeypatch.setattr(trained_by, "mixed", lambda x, *_: x * float("nan"))
        train(*arguments)

    monkeypatch.setattr(module, "_train", broken)
    given: dict[str, Any] = {"state": tmp_path, "softmax_twin": twin, "gelu_twin": twin, "a_symmetric": False}
    with pytest.raises(ValueError, match=rf"reconstruction stopped at blocks\.1: {words}"):
        made(model, images, **given)
    monkeypatch.setattr(trained_by, "mixed", mixed)
    found = made(model, images, **given)
    assert trained[3:] == ["blocks.1", "head"]
    assert torch.isfinite(found(images)).all()


def test_a_distillation_that_is_not_finite_stops_and_keeps_the_parts(
    model: nn.Module, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Broken(Classification):
        def divergence(self, outputs: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
            return super().divergence(outputs, exact) * float("nan")

    with monkeypatch.context() as patch:
        patch.setattr(distill, "task_of", lambda _network: Broken())
        with pytest.raises(ValueError, match="distillation stopped at step 0: the loss became nan; try lower rates"):
            made(model, images, distill=2, state=tmp_path)
    monkeypatch.setattr(module, "_train", lambda *_: pytest.fail("a part that was finished was trained again"))
    assert torch.isfinite(made(model, images, distill=2, state=tmp_path)(images)).all()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"formats": {"weight": "e2m1"}}, "learns codes of uniform ones"),
        ({"fit_accumulator": pq.Accumulator(16)}, "learns codes that would no longer fit"),
        ({"weight_rounding": "gptq"}, "legal in reconstruction"),
        ({"weight_rounding": "bit_split"}, "legal in reconstruction"),
    ],
)
def test_options_that_exclude_reconstruction(
    model: nn.Module, images: torch.Tensor, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        made(model, images, **more)


@pytest.mark.filterwarnings("default:.*weights to be rounded")
def test_too_few_images_are_said_with_the_numbers(model: nn.Module, images: torch.Tensor) -> None:
    told = r"4 of 4 parts have more weights .*blocks\.0 has 12,288, and 2 images give 1,088; take 32 images"
    with pytest.warns(UserWarning, match=told):
        made(model, images[:2], iterations=1)


def test_errors_may_be_weighed(model: nn.Module, images: torch.Tensor) -> None:
    equal, fisher = (made(model, images, iterations=4, weighting=name) for name in ("equal", "fisher"))
    assert losses(equal)[1][0] != losses(fisher)[1][0]
    assert not torch.equal(equal(images), fisher(images))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"iterations": 0}, "iterations is 0; legal is 1 or more"),
        ({"drop": 1.0}, "drop is 1.0; legal is 0 to less than 1"),
        ({"rounding_rate": 0.0}, "rounding_rate is 0.0; legal is more than 0"),
        ({"weight_rounding": "bit_split"}, "legal in reconstruction, which learns the rounding itself, is 'nearest'"),
        ({"weighting": "fischer"}, "fisher"),
        ({"distill": -1}, "distill is -1; legal is 0 or more"),
    ],
)
def test_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ptq.Reconstruct(**options)


def test_distillation_brings_the_outputs_nearer(model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    found = made(model, images, distill=30, state=tmp_path)
    *parts, last = found.info["reconstruction"]
    assert len(parts) == 4
    assert last["part"] == "distillation"
    assert last["after"] < 0.9 * last["before"]
    exact = QuantizedModel(model)(images)
    assert float(kl_divergence(found(images), exact).mean()) == pytest.approx(last["after"], rel=1e-6)
    again = made(model, images, distill=30, state=tmp_path)
    assert torch.equal(again(images), found(images))
    assert again.info == found.info


def test_distillation_keeps_the_codes(model: nn.Module, images: torch.Tensor) -> None:
    without, found = (made(model, images, iterations=3, distill=steps) for steps in (0, 3))
    for name, op in found.layers.items():
        if (codes := op.weight_codes) is not None:
            other = without.layers[name].weight_codes
            assert other is not None
            assert all((a.codes == b.codes).all() for a, b in zip(codes, other, strict=True))
            assert op.formats != without.layers[name].formats
