"""Methods as objects beside their names."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from torch.utils.data import TensorDataset

from ptqsim import ptq
from ptqsim.ptq.calibration.methods import METHODS, VARIANTS, make_method
from tests.ptq import names
from tests.ptq.networks import vision_transformer


def test_every_method_is_exported() -> None:
    for made in (*METHODS.values(), *VARIANTS.values()):
        assert getattr(ptq, made.__name__) is made


@pytest.mark.parametrize("name", names.METHODS)
def test_an_object_is_its_name(name: str) -> None:
    method = METHODS[name]()
    assert make_method(method, {}) is method
    assert asdict(make_method(name, {})) == asdict(method)


def test_an_object_and_a_name_calibrate_alike() -> None:
    torch.manual_seed(0)
    network = vision_transformer(img_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=3)
    images = torch.randn(4, 3, 16, 16)
    named = ptq.calibrate(network, images, method="ptq4vit", w_bits=4, a_bits=4, rounds=2, range_choice="nearest")
    made = ptq.calibrate(
        network, TensorDataset(images), method=ptq.PTQ4ViT(rounds=2, range_choice="nearest"), w_bits=4, a_bits=4
    )
    assert made.info == named.info
    assert {n: op.formats for n, op in made.layers.items()} == {n: op.formats for n, op in named.layers.items()}
    released = ptq.calibrate(network, images, method=ptq.ReleasedPTQ4ViT(), w_bits=4, a_bits=4)
    assert (released.info["method"], released.info["variant"]) == ("ptq4vit", "released")


def test_options_belong_into_the_object() -> None:
    with pytest.raises(TypeError, match=r"rounds was given beside the method .*try ptq.PTQ4ViT\(rounds=...\)"):
        make_method(ptq.PTQ4ViT(), {"rounds": 2})
    with pytest.raises(TypeError, match="variant was given beside"):
        make_method(ptq.PTQ4ViT(), {}, "released")


@pytest.mark.parametrize("wrong", [3, None, ptq.PTQ4ViT, ("ptq4vit",)])
def test_what_is_no_method(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"legal are a name .* and an object of one of the classes"):
        make_method(wrong, {})  # type: ignore[arg-type]
