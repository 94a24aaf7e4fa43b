"""LayerNorms that are learned with their block: kept in files, in every mode but float, and by no layer alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.network.quantized_model import QuantizedModel
from tests.ptq.calibration.reconstruction.cases import losses, made
from tests.ptq.networks import HALF

pytestmark = pytest.mark.filterwarnings("ignore:.*weights to be rounded")


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
