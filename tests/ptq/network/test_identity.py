"""Identity of a network: everything that changes its outputs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.network.description.identity import network_fingerprint, tensors_fingerprint, weights_fingerprint
from tests.ptq.networks import vision_transformer


def vit(**options: object) -> nn.Module:
    torch.manual_seed(0)
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2, "num_classes": 5}
    return vision_transformer(**sizes | options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"num_heads": 4}, {"act_layer": nn.ReLU}, {"norm_layer": partial(nn.LayerNorm, eps=1e-3)}]
)
def test_settings_that_no_weight_shows(options: dict[str, object]) -> None:
    one, other = vit(), vit(**options)
    other.load_state_dict(one.state_dict())
    images = torch.rand(2, 3, 32, 32)
    assert not torch.equal(one(images), other(images))
    assert weights_fingerprint(one) == weights_fingerprint(other)
    assert network_fingerprint(one) != network_fingerprint(other)


def test_the_same_network_is_the_same_one() -> None:
    assert network_fingerprint(vit()) == network_fingerprint(vit()) == network_fingerprint(copy.deepcopy(vit()))


def edit_weights(network: nn.Module) -> None:
    with torch.no_grad():
        network.head.weight[0, 0] += 1e-3  # type: ignore[index, union-attr]


def patch_forward(network: nn.Module) -> None:
    network.norm.forward = torch.relu  # type: ignore[union-attr, method-assign, assignment]


@pytest.mark.parametrize("change", [edit_weights, patch_forward])
def test_changes_in_place(change: Callable[[nn.Module], None]) -> None:
    network = vit()
    before = network_fingerprint(network)
    change(network)
    assert network_fingerprint(network) != before


def test_a_buffer_that_is_not_saved() -> None:
    one, other = (nn.BatchNorm1d(3) for _ in range(2))
    for module, value in ((one, 1.0), (other, 2.0)):
        module.register_buffer("offset", torch.tensor(value), persistent=False)
    assert weights_fingerprint(one) == weights_fingerprint(other)
    assert network_fingerprint(one) != network_fingerprint(other)


def test_classes_of_nobody_are_known_by_their_source(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    found = []
    for name, number in (("first_module", 1), ("second_module", 2)):
        source = "from torch import nn\n\n\nclass M(nn.Module):\n    def forward(self, x):\n        return x * {}\n"
        (tmp_path / f"{name}.py").write_text(source.format(number))
        monkeypatch.syspath_prepend(tmp_path)
        kind = __import__(name).M
        kind.__module__ = name
        found.append(network_fingerprint(kind()))
    assert found[0] != found[1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int8, torch.bool])
def test_tensors_of_every_type(dtype: torch.dtype) -> None:
    one = torch.tensor([[0.0, 1.0]]).to(dtype)
    other = torch.tensor([[1.0, 1.0]]).to(dtype)
    scalar = torch.tensor(1.0).to(dtype)
    assert len({tensors_fingerprint([("x", value)]) for value in (one, other, one.T, scalar)}) == 4
    assert tensors_fingerprint([("x", one)]) == tensors_fingerprint([("x", one.clone())])


def test_types_of_equal_bytes_are_told_apart() -> None:
    zeros = [torch.zeros(2, dtype=dtype) for dtype in (torch.bfloat16, torch.float16, torch.int16)]
    assert len({tensors_fingerprint([("x", value)]) for value in zeros}) == 3


def test_what_was_captured_is_of_these_weights_and_images(model: nn.Module, images: torch.Tensor) -> None:
    """Weights edited in place after a capture, other images, and another seed of what was drawn."""
    network = copy.deepcopy(model)
    options = {"method": "percentile", "w_bits": 6, "a_bits": 6}
    with ptq.capture(network, images[:2]) as captured:
        ptq.calibrate(network, images[:2], captured=captured, **options)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="is of other weights or images"):
            ptq.calibrate(network, images[2:4], captured=captured, **options)  # type: ignore[arg-type]
        with torch.no_grad():
            network.head.weight[0, 0] += 1e-3  # type: ignore[index, union-attr]
        with pytest.raises(ValueError, match="is of other weights or images"):
            ptq.calibrate(network, images[:2], captured=captured, **options)  # type: ignore[arg-type]
    told = "captured with seed 1, and the calibration has seed 0"
    drawn = ptq.capture(network, images[:2], gradient="sampled", seed=1)
    with drawn, pytest.raises(ValueError, match=told):
        ptq.calibrate(network, images[:2], method="ptq4vit", captured=drawn, gradient="sampled")
