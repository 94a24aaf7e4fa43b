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
from tests.ptq.networks import HALF

FEW: dict[str, Any] = {"method": "reconstruct", "w_bits": 3, "a_bits": 4, "n": 8, "rounds": 1, "batch": 4}

pytestmark = pytest.mark.filterwarnings("ignore:.*weights to be rounded")


def made(model: nn.Module, images: torch.Tensor, **more: Any) -> ptq.QuantizedModel:
    return ptq.calibrate(model, images, **{**FEW, "iterations": 12, **more})


def losses(quantized: ptq.QuantizedModel) -> list[tuple[float, float]]:
    return [(part["before"], part["after"]) for part in quantized.info["reconstruction"]]


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


def own_norms(model: nn.Module, images: torch.Tensor, **more: Any) -> ptq.QuantizedModel:
    return made(model, images, norm_rate=0.01, **more)


def test_norms_are_learned_with_their_block(model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    found = own_norms(model, images, iterations=60, drop=0.0)
    without = made(model, images, iterations=60, drop=0.0)
    assert sorted(found.tuned) == [
        f"blocks.{block}.norm{norm}.{part}" for block in (0, 1) for norm in (1, 2) for part in ("bias", "weight")
    ]
    assert all(not torch.equal(value, model.get_parameter(name)) for name, value in found.tuned.items())
    assert losses(found)[2][1] < losses(without)[2][1]
    found.mode = "float"  # type: ignore[assignment]
    assert torch.equal(found(images), model(images))
    found.save(tmp_path / "m.safetensors")  # in float mode, in which the network has its own norms
    read = ptq.load(tmp_path / "m.safetensors", model)
    for mode in ("fake_quant", "integer", "float", "fake_quant"):
        found.mode = read.mode = mode  # type: ignore[assignment]
        assert torch.equal(found(images), read(images)), mode
        for name, value in found.tuned.items():
            expected = model.get_parameter(name) if mode == "float" else value
            assert torch.equal(read.model.get_parameter(name), expected)
    found.mode = "integer"  # type: ignore[assignment]
    assert all(check.mismatches == 0 for check in ptq.verify(found, images, outputs=20).values())


def test_learned_norms_are_kept_and_the_same_on_any_number_of_threads(
    model: nn.Module, images: torch.Tensor, tmp_path: Path
) -> None:
    whole = own_norms(model, images, iterations=4, distill=3, state=tmp_path)
    assert {"norm.weight", "norm.bias"} < set(whole.tuned)  # distillation has those outside of blocks too
    again = own_norms(model, images, iterations=4, distill=3, state=tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(3 - min(threads, 2))
    other = own_norms(model, images, iterations=4, distill=3)
    torch.set_num_threads(threads)
    for one in (again, other):
        assert torch.equal(one(images), whole(images))
        assert one.info == whole.info
        assert one.tuned.keys() == whole.tuned.keys()
        assert all(torch.equal(value, whole.tuned[name]) for name, value in one.tuned.items())


def test_an_interruption_leaves_the_norms_of_the_network(
    model: nn.Module, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ptqsim.ptq.calibration.reconstruction.learned import norms_in

    quantized = QuantizedModel(model)
    before = dict(quantized.model.named_parameters())
    norms = norms_in(quantized)
    assert len(norms) == 5

    def interrupted() -> None:
        with norms[0]:
            assert quantized.model.get_parameter(f"{norms[0].name}.weight").requires_grad
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert all(value is before[name] for name, value in quantized.model.named_parameters())


def test_an_integer_only_network_has_the_learned_norms(own: Any, images: torch.Tensor) -> None:
    own.pretrained_cfg = HALF
    given: dict[str, Any] = {"w_bits": 8, "a_bits": 8, "iterations": 3, "integer_only": True}
    outputs = []
    for rate in (0.0, 0.05):
        found = made(own, images, norm_rate=rate, **given)
        close = found(images)
        found.mode = "integer_only"  # type: ignore[assignment]
        logits = found.logits(images)
        assert float((logits - close).abs().max()) < 0.1 * float(close.abs().max())
        outputs.append(logits)
    assert not torch.equal(*outputs)


def test_norms_are_no_part_of_a_layer() -> None:
    with pytest.raises(ValueError, match="no LayerNorm is part of a layer; legal is 0, or parts='block'"):
        ptq.Reconstruct(norm_rate=0.001, parts="layer")
    ptq.Reconstruct(norm_rate=0.001, parts="layer", distill=1)
    with pytest.raises(ValueError, match="norm_rate is 2"):
        ptq.Reconstruct(norm_rate=2.0)
