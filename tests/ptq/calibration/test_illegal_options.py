"""Options of illegal values and types: one line, whatever is given, before any work."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ptqsim import ptq
from ptqsim.cli.framework.errors import explain
from ptqsim.errors import ArgumentTypeError

NAN, HUGE = math.nan, 10**40
ILLEGAL: dict[str, tuple[list[object], str]] = {
    "seed": ([-1, 2**32, HUGE, True, 1.5, NAN, "1", None], "seed must be an integer from 0 to 4294967295, got"),
    "num_images": ([True, 2.5, NAN, -1, 0, "3"], "num_images is .*; legal is an integer of at least 1"),
    "w_bits": ([True, NAN, 8.0, -1, HUGE, "8", None], "w_bits must be an integer from 2 to 16, got"),
    "a_bits": ([True, NAN, 8.0, -1, HUGE, "8", None], "a_bits must be an integer from 2 to 16, got"),
    "mixed_precision": (["hessian", 3, ptq.MixedPrecision], "mixed_precision must be a MixedPrecision, got"),
    "captured": ([3, "x"], "captured must be a Captured, got"),
    "progress": ([3, None], "progress is .*; legal is a function"),
    "state": ([3, b"x", ""], "state is"),
    "alpha": ([True, NAN, -1, HUGE, "1"], "alpha"),
    "beta": ([True, NAN, math.inf, "1"], "beta"),
    "n": ([True, NAN, 0, -3, HUGE, 2.0], "n=|'n' of method"),
    "rounds": ([True, 0, -1, NAN], "rounds"),
    "bias_correction": ([1, "true", None], "option 'bias_correction'"),
    "paradigm": ([None, 3, "serial"], "paradigm"),
    "variant": ([None, 3, "papr"], "variant"),
    "folds": ([None, 3, "smoothing", ptq.Smoothing(), [ptq.Smoothing], ["smoothing"]], "legal is a sequence of folds"),
    "method": ([None, 3, "ptq4", ptq.PTQ4ViT], "method"),
}
OF_MIXED_PRECISION: dict[str, list[object]] = {
    "model_size": [NAN, True, -1, math.inf, "3", HUGE**10],
    "widths": [[], [True], [1], 5, "45", [NAN], [HUGE]],
    "probes": [True, 0, -1, NAN, HUGE],
    "solver": [None, 3],
    "sensitivity": [None, "x"],
}


def refused(error: BaseException) -> None:
    explained = explain(error)
    assert explained is not None
    assert explained[0] == 2


@pytest.mark.parametrize(
    ("option", "value"), [(name, value) for name, (values, _) in ILLEGAL.items() for value in values]
)
def test_calibrate(model: nn.Module, images: torch.Tensor, option: str, value: object) -> None:
    arguments: dict[str, Any] = {"method": "base_ptq", "n": 2, option: value}
    with pytest.raises(ValueError, match=ILLEGAL[option][1]) as caught:
        ptq.calibrate(model, images, **arguments)
    refused(caught.value)


@pytest.mark.parametrize("value", [True, 2.5, NAN, -1, "3"])
def test_numbers_of_images_of_a_source(model: nn.Module, images: torch.Tensor, value: Any) -> None:
    data = TensorDataset(images)
    for source in (data, DataLoader(data, 2)):
        with pytest.raises(ValueError, match="num_images is"):
            ptq.calibrate(model, source, num_images=value)


@pytest.mark.parametrize(
    ("option", "value"), [(name, value) for name, values in OF_MIXED_PRECISION.items() for value in values]
)
def test_mixed_precision(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=option) as caught:
        ptq.MixedPrecision(**{option: value})
    refused(caught.value)


@pytest.mark.parametrize("seed", [-1, 2**32, True, NAN, None, "1"])
def test_seeds_elsewhere(model: nn.Module, quantized: ptq.QuantizedModel, images: torch.Tensor, seed: Any) -> None:
    digits = ptq.load_data("digits", model)
    for use in (
        lambda: ptq.sample_images(digits, 2, seed), lambda: ptq.verify(quantized, images, seed=seed),
        lambda: ptq.capture(model, images, seed=seed),
        lambda: ptq.calibrate(model, TensorDataset(images), num_images=2, seed=seed),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="seed must be an integer from 0 to 4294967295, got") as caught:
            use()
        assert isinstance(caught.value, ArgumentTypeError) == (type(seed) is not int)


def test_paths_and_models_that_are_none(model: nn.Module, quantized: ptq.QuantizedModel) -> None:
    for use in (
        lambda: ptq.load(None, model), lambda: ptq.load_data(None, model), lambda: quantized.save(3),  # type: ignore[arg-type]
        lambda: ptq.load_with_model(b"x"), lambda: ptq.load_data("digits", None),  # type: ignore[arg-type]
    ):  # fmt: skip
        with pytest.raises(ArgumentTypeError):
            use()
    with pytest.raises(ValueError, match="the checkpoint is empty; legal is the name of a file"):
        ptq.load("", model)


def test_numbers_of_other_types_that_are_legal(model: nn.Module, images: torch.Tensor) -> None:
    """They are kept as Python's, so that a checkpoint can hold them."""
    given = ptq.calibrate(
        model, images, method="base_ptq", n=np.int64(4), alpha=Fraction(1, 2), w_bits=np.int64(6), seed=np.uint8(0)
    )
    plain = ptq.calibrate(model, images, method="base_ptq", n=4, alpha=0.5, w_bits=6)
    assert given.info == plain.info
    assert type(given.info["options"]["alpha"]) is float
    assert {type(given.info[name]) for name in ("w_bits", "seed")} == {int}
    assert {n: op.formats for n, op in given.layers.items()} == {n: op.formats for n, op in plain.layers.items()}
