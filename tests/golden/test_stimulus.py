"""Codes that reach the corners of formats and registers."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import golden
from tests.golden.cases import FORMATS


@pytest.mark.parametrize("formats", FORMATS)
def test_corners_reach_both_ends_of_the_datatype_bound(formats: str) -> None:
    a_format, b_format = FORMATS[formats]
    a, b = golden.stimulus(a_format, b_format, 6, 24, 6, "corners")
    out = np.asarray(pq.reference.matmul(a, b, None))
    bound = pq.bounds.datatype(a_format, b_format, 24)
    assert out.max() == bound.highest
    assert out.min() == bound.lowest
    width = bound.bits
    assert pq.matmul(a, b, pq.Accumulator(width, "saturate")).overflow.outputs == 0  # type: ignore[union-attr]
    assert pq.matmul(a, b, pq.Accumulator(width - 1, "saturate")).overflow.outputs > 0  # type: ignore[union-attr]


def test_every_code_comes_up() -> None:
    a, b = golden.stimulus(pq.TwinSoftmax(6, 3), pq.Uniform(5, 1.0), 5, 64, 5, "corners")
    assert set(a.codes[4].tolist()) == set(range(64))
    assert set(b.codes[:, 4].tolist()) == set(range(32))


def test_saturation_differs_from_wrapping_and_from_exact() -> None:
    a, b = golden.stimulus(*FORMATS["gelu"], 8, 32, 8)
    outputs = [pq.matmul(a, b, pq.Accumulator(bits, mode)).acc for bits, mode in ((16, "wrap"), (16, "saturate"))]
    exact = pq.matmul(a, b, pq.Accumulator(40)).acc
    assert not np.array_equal(outputs[0], outputs[1])
    assert not any(np.array_equal(out, exact) for out in outputs)


@pytest.mark.parametrize("pattern", ["random", "mixed", "corners"])
def test_a_seed_decides(pattern: str) -> None:
    one, again, other = (golden.stimulus(*FORMATS["uniform"], 12, 9, 12, pattern, seed) for seed in (3, 3, 4))
    for x, y, z in zip(one, again, other, strict=True):
        assert np.array_equal(x.codes, y.codes)
        assert not np.array_equal(x.codes, z.codes)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 1, 1), "rows"),
        ((1, 0, 1), "depth"),
        ((1, 1, -1), "columns"),
        ((1, 1, 1 << 21), "columns"),
        ((1, 1, 1, "corner"), "Did you mean 'corners'"),
        ((1, 1, 1, "mixed", -1), "seed"),
        ((1, 1, 1, "mixed", 1 << 32), "seed"),
    ],
)
def test_wrong_arguments(arguments: tuple[int, int, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        golden.stimulus(*FORMATS["uniform"], *arguments)
