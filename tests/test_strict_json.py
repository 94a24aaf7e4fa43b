"""JSON without NaN and Infinity, which RFC 8259 has not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ptqsim.common import strict_json


@dataclass
class Score:
    loss: float
    file: Path


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def test_what_is_not_finite_is_null_at_every_depth() -> None:
    value = {
        "nan": float("nan"),
        "array": np.array([[1.0, np.inf], [-np.inf, 2.0]]),
        "scalar": np.float32("nan"),
        "tuple": (1, float("inf"), {"deep": [np.float64("nan")]}),
        "score": Score(float("-inf"), Path("a/b")),
        "codes": np.arange(3, dtype=np.uint8),
        "no": None,
        "true": True,
    }
    assert json.loads(strict_json.dumps(value), parse_constant=refuse) == {
        "nan": None,
        "array": [[1.0, None], [None, 2.0]],
        "scalar": None,
        "tuple": [1, None, {"deep": [None]}],
        "score": {"loss": None, "file": "a/b"},
        "codes": [0, 1, 2],
        "no": None,
        "true": True,
    }


def test_finite_floats_keep_every_bit() -> None:
    values = [0.1, 1e308, 5e-324, -0.0, float(np.float32(0.1))]
    assert list(map(float.hex, json.loads(strict_json.dumps(values)))) == list(map(float.hex, values))


def test_what_has_no_form_is_refused() -> None:
    with pytest.raises(TypeError, match="set has no JSON form"):
        strict_json.dumps({"names": {1}})
