"""Options of methods: their types, their ranges, and the messages about wrong ones."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.ptq.calibration.methods import METHODS, VARIANTS, make_method
from ptqsim.ptq.search.objectives import OBJECTIVES
from tests.ptq import names

NAN = float("nan")
BAD_VALUES: dict[type, tuple[object, ...]] = {
    bool: (),
    int: (-1, 0),
    float: (-1.0, NAN, float("inf"), -float("inf")),
    str: ("no such name", ""),
}
"""Values that are legal for no option, by the type of its default."""
BAD_TYPES: dict[type, tuple[object, ...]] = {
    bool: ("yes", 1, None, NAN),
    int: (NAN, 2.0, "3", True, None, [3]),
    float: ("0.5", True, None),
    str: (3, None, True),
}
"""Values of another type than an option, by the type of its default."""


MAY_BE_ZERO = ("sweeps", "distill")
"""Numbers of steps that there need not be."""


def bad_options(method: str, bad: dict[type, tuple[object, ...]]) -> list[tuple[str, object]]:
    """Every option of a method with every bad value."""
    return [
        (option, value)
        for option, default in asdict(make_method(method, {})).items()  # type: ignore[call-overload]
        for value in bad[str if isinstance(default, str) else type(default)]
        if not (option in MAY_BE_ZERO and value == 0)
    ]


@pytest.mark.parametrize(
    ("method", "variant", "options", "message"),
    [
        ("ptq4vit", "relased", {}, "released"),
        ("base_ptq", "released", {}, "'paper'"),
        ("easyqant", "paper", {}, "easyquant"),
        ("percentile", "paper", {"n": 3}, "a_percentile"),
        ("percentile", "paper", {"a_percentile": 0.0}, "above 0"),
        ("liu2021", "paper", {"gamma": -1.0}, "gamma"),
        ("liu2021", "paper", {"theta": float("inf")}, "theta"),
        ("liu2021", "paper", {"rankng": True}, "ranking"),
        ("bit_split", "paper", {"epochs": 0}, "epochs"),
        ("bit_split", "paper", {"damping": -0.1}, "damping"),
        ("easyquant", "paper", {"paradigm": "sequental"}, "sequential"),
        ("ptq4vit", "paper", {"range_choice": "neares"}, "nearest"),
        ("ptq4vit", "paper", {"weight_rounding": "bitsplit"}, "bit_split"),
        ("ptq4vit", "paper", {"max_shift": 25}, "1 to 24"),
        ("ptq4vit_plus", "paper", {"folds": 1}, "2 or more"),
        ("ptq4vit", "released", {"splits": 0}, "splits is 0"),
        ("base_ptq", "paper", {"metric": "cosin"}, "cosine"),
        ("base_ptq", "paper", {"metric": "hessian"}, "metric"),
        ("ptq4vit", "paper", {"alpha": 1.2, "beta": 0.5}, "alpha < beta"),
        ("ptq4vit", "paper", {"beta": 1e-300}, "beta from"),
        ("ptq4vit", "paper", {"beta": 1e300}, "beta from"),
        ("ptq4vit", "paper", {"n": 10**9}, "1 to 10000"),
        ("liu2021", "paper", {"theta": 1e300}, "1,000,000"),
    ],
)
def test_bad_options_are_named(method: str, variant: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make_method(method, options, variant)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"softmax_twin": "no"}, "'softmax_twin' of method 'ptq4vit' is 'no'; legal is true or false"),
        ({"n": 2.5}, "legal is an integer"),
        ({"n": True}, "legal is an integer"),
        ({"alpha": "0"}, "legal is a number"),
        ({"gradient": 3}, "gradient must be a string, got 3"),
        ({"paradigm": None}, "paradigm must be a string, got None"),
    ],
)
def test_options_of_another_type_are_type_errors(options: dict[str, object], message: str) -> None:
    for make in (lambda: make_method("ptq4vit", options), lambda: ptq.PTQ4ViT(**options)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=message) as caught:
            make()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("error", "bad"), [(TypeError, BAD_TYPES), (ValueError, BAD_VALUES)])
@pytest.mark.parametrize("method", names.METHODS)
def test_every_option_refuses_what_is_not_of_its_kind(
    method: str, error: type[Exception], bad: dict[type, tuple[object, ...]]
) -> None:
    for option, value in bad_options(method, bad):
        with pytest.raises(error, match=option) as caught:
            make_method(method, {option: value})
        assert "\n" not in str(caught.value), (option, value)


def test_options_are_members_that_equal_their_names() -> None:
    """Names go in, members come out; what is written to files is the name."""
    for method in (
        ptq.PTQ4ViT(gradient="sampled", paradigm="sequential"),
        make_method("ptq4vit", {"gradient": "sampled"}),
    ):
        assert method.gradient is ptq.Gradient.SAMPLED  # type: ignore[union-attr]
        assert method == ptq.PTQ4ViT(gradient=ptq.Gradient.SAMPLED, paradigm=method.paradigm)
        assert json.loads(json.dumps(asdict(method)))["gradient"] == "sampled"  # type: ignore[call-overload]
    assert ptq.MixedPrecision(solver="milp").solver is ptq.Solver.MILP
    assert type(ptq.PTQ4ViT(rounds=np.int64(2)).rounds) is int  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", [8.0, "8", None, True])
@pytest.mark.parametrize("which", ["w_bits", "a_bits"])
def test_a_width_that_is_no_integer_is_refused(
    model: nn.Module, images: torch.Tensor, which: str, bits: object
) -> None:
    with pytest.raises(TypeError, match=rf"{which} must be an integer from 2 to 16"):
        ptq.calibrate(model, images, **{which: bits})  # type: ignore[arg-type]


def test_an_integer_is_a_number() -> None:
    assert make_method("ptq4vit", {"alpha": 0, "beta": 1}).schedule  # type: ignore[truthy-function]


def test_variants_belong_to_methods() -> None:
    assert {method for method, _ in VARIANTS} <= METHODS.keys()
    assert METHODS.keys() == set(names.METHODS)
    assert OBJECTIVES.keys() == set(names.OBJECTIVES)
    assert ptq.BUNDLED.keys() == set(names.BUNDLED)
    assert all(name == made.name for name, made in METHODS.items())
