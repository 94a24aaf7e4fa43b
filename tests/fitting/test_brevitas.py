"""Brevitas beside this project on one layer: bounds, norms, and integer outputs, which are equal.

The record was made by Brevitas 0.13 (`tests.fitting.brevitas_layer`); where Brevitas is installed it is made anew.
"""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import fitting
from tests.fitting.brevitas_layer import RECORD, case, cases, made

CASES = pytest.mark.parametrize(("name", "inputs", "width"), cases())
FORMATS = {"signed": pq.Uniform(8, 1.0), "unsigned": pq.Uniform(8, 1.0, signed=False)}


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    with np.load(RECORD) as file:
        return {name: file[name] for name in file.files}


def weights(record: dict[str, Any], key: str) -> pq.QuantizedArray:
    """The integer weights, [K, N], with the scales that Brevitas has for them."""
    fmt = pq.Uniform(8, record[f"{key}.scales"], axis=-1)
    return pq.QuantizedArray(record[f"{key}.weights"].T.astype(np.uint8), fmt)


@CASES
def test_outputs_are_equal(record: dict[str, Any], name: str, inputs: str, width: int) -> None:
    key = case(name, inputs, width)
    codes = pq.QuantizedArray(record[f"{key}.inputs"].astype(np.uint8), FORMATS[inputs])
    np.testing.assert_array_equal(codes.aligned(), record[f"{key}.inputs"])
    result = pq.matmul(codes, weights(record, key), pq.Accumulator(width, "trap"))
    np.testing.assert_array_equal(result.acc, record[f"{key}.outputs"])


@CASES
def test_weights_within_their_bound_keep_ours(record: dict[str, Any], name: str, inputs: str, width: int) -> None:
    key = case(name, inputs, width)
    accumulator, codes, bound = pq.Accumulator(width), weights(record, key), float(record[f"{key}.bound"])
    formula = (
        ((1 << width) - 2) / 255 if name == "a2q_plus" else ((1 << (width - 1)) - 1) / (1 << (8 - (inputs == "signed")))
    )
    assert bound == pytest.approx(formula, rel=1e-6)
    norms = np.abs(codes.aligned()).sum(axis=0)
    assert norms.max() <= bound
    assert fitting.fits(FORMATS[inputs], codes, accumulator)
    assert fitting.certificate(FORMATS[inputs], codes, accumulator)["accumulator"].bits <= width


@CASES
def test_fitted_weights_use_more_of_the_register(record: dict[str, Any], name: str, inputs: str, width: int) -> None:
    """The same float weights at the same scales: of a greater norm, and nearer."""
    key = case(name, inputs, width)
    theirs, target = weights(record, key), record["weight"].T
    ours = fitting.fit_weights(target, FORMATS[inputs], theirs.format, pq.Accumulator(width))  # type: ignore[arg-type]
    assert fitting.fits(FORMATS[inputs], ours, pq.Accumulator(width))
    norms, their_norms = (np.abs(codes.aligned()).sum(axis=0) for codes in (ours, theirs))
    assert (norms >= their_norms).all()
    assert norms.max() <= ((1 << width) - 1) // 255  # the greatest that any weights can have
    steps = target / theirs.format.steps
    distances, their_distances = (((codes.aligned() - steps) ** 2).sum(axis=0) for codes in (ours, theirs))
    assert (distances <= their_distances).all()


def test_the_record_says_what_made_it(record: dict[str, Any]) -> None:
    about = json.loads(str(record["about"]))
    assert about["brevitas"].startswith("0.13")
    assert about["layer"] == "blocks.0.attn.proj.weight"


@pytest.mark.skipif(importlib.util.find_spec("brevitas") is None, reason="brevitas is not installed")
@pytest.mark.filterwarnings("ignore")
def test_brevitas_gives_the_record(record: dict[str, Any]) -> None:
    anew = made()
    assert anew.keys() == record.keys()
    for name in record.keys() - {"about"}:
        np.testing.assert_array_equal(anew[name], record[name])
