"""Kernels of vector code: the codes of the kernels of every target, wherever rows lie."""

from __future__ import annotations

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import units
from ptqsim.units import vectors
from tests.units.cases import CASES, inputs_of, row_length

WITH = [
    "rescale-uniform8",
    "rescale-gelu",
    "rescale-left",
    "layer_norm-uniform8",
    "softmax-softmax-exact",
    "residual",
    "gelu",
]
WITHOUT = ["rescale-log2", "rescale-softmax", "layer_norm-gelu", "softmax-softmax_nearest-exact", "tflite-softmax"]


def has_vector_code(unit: units.Unit) -> bool:
    return unit.vector(row_length(unit)) is not None


def test_units_that_have_vector_code() -> None:
    assert [name for name in WITH if not has_vector_code(CASES[name])] == []
    assert [name for name in WITHOUT if has_vector_code(CASES[name])] == []
    assert not has_vector_code(units.Rescale.from_real(1e-9, pq.Uniform(6, 0.1), acc_bits=33))


@pytest.mark.parametrize("name", CASES)
def test_equal_the_kernels_of_every_target(name: str) -> None:
    unit = CASES[name]
    if not has_vector_code(unit):
        pytest.skip("no vector code")
    rows = tuple(inputs_of(unit, rows=300, seed=4))
    codes = np.empty(rows[0].shape, unit.out_format.code_dtype)
    unit._run(rows, codes)
    assert np.array_equal(unit.unchecked(rows), codes)


def test_rows_anywhere() -> None:
    """Heads with constants of their own, out of the middle of a product, to places between those of other heads."""
    rng = np.random.default_rng(0)
    made = [
        units.Rescale.from_real(1e-3 * (h + 1), pq.Uniform(6, 0.05), rng.normal(0, 0.3, 4), acc_bits=12)
        for h in range(3)
    ]
    acc = rng.integers(-2048, 2048, (2, 5, 2, 3, 4)).astype(np.int32)  # image, token, part, head, channel
    heads = acc.transpose(2, 0, 3, 1, 4)[1]
    codes = np.zeros((2, 5, 3, 4), np.uint8)
    call = vectors.bound(made, [heads], [vectors.PLAIN], codes.transpose(0, 2, 1, 3))
    assert call is not None
    for _ in range(2):
        acc[:] = rng.integers(-2048, 2048, acc.shape)
        call()
        expected = np.stack([unit(heads[:, h]) for h, unit in enumerate(made)], 2)
        assert np.array_equal(codes, expected)


def test_codes_as_inputs() -> None:
    fmt = pq.Uniform(12, 0.01, zero_point=-7)
    unit = units.LayerNorm.from_real(np.ones(6), 0.0, 1e-6, 0.01, pq.Uniform(6, 0.1), x_bits=13)
    given = np.random.default_rng(1).integers(0, 4096, (7, 6)).astype(np.uint16)
    codes, rule = np.empty((7, 6), np.uint8), vectors.rule_of(fmt)
    assert rule is not None
    call = vectors.bound([unit], [given], [rule], codes)
    assert call is not None
    call()
    assert np.array_equal(codes, unit(fmt.align(given)))


CODED = [pq.Uniform(4, 0.1), pq.Uniform(4, 0.1, zero_point=-3), pq.Uniform(4, 0.1, signed=False, zero_point=9)]


@pytest.mark.parametrize("fmt", CODED)
@pytest.mark.parametrize("name", WITH)
def test_an_input_of_codes_is_read_by_its_rule_or_refused(name: str, fmt: pq.Uniform) -> None:
    """Every input of every unit in turn; the others are integers."""
    unit = CASES[name]
    rng, rule = np.random.default_rng(2), vectors.rule_of(fmt)
    plain = [x.astype(np.int32) for x in inputs_of(unit, rows=50, seed=4)]
    assert rule is not None
    read = 0
    for at in range(len(plain)):
        given = rng.integers(0, 16, plain[at].shape).astype(np.uint8)
        codes = np.empty(plain[at].shape, unit.out_format.code_dtype)
        arrays, rules = list(plain), [vectors.PLAIN] * len(plain)
        arrays[at], rules[at] = given, rule
        call = vectors.bound([unit], arrays, rules, codes)
        if call is None:
            continue
        call()
        integers = [x.astype(np.int64) for x in plain]
        integers[at] = fmt.align(given).astype(np.int64)
        assert np.array_equal(codes, unit.unchecked(tuple(integers)))
        read += 1
    assert read == (1 if name.startswith(("softmax", "layer_norm", "residual")) else 0)


@pytest.mark.parametrize(
    "fmt", [pq.Uniform(5, 0.1), pq.Uniform(5, 0.1, zero_point=3), pq.Uniform(9, 0.1, zero_point=200, signed=False)]
)
def test_rule_of_a_format(fmt: pq.Uniform) -> None:
    rule = vectors.rule_of(fmt)
    assert rule is not None
    assert np.array_equal((np.arange(fmt.code_count) ^ rule[0]) - rule[1], fmt.aligned_table())


def test_rows_that_three_strides_do_not_reach() -> None:
    unit = units.Rescale.from_real(1e-3, pq.Uniform(6, 0.05), acc_bits=12)
    acc, codes = np.zeros((8, 8, 8, 8, 4), np.int32), np.zeros((4, 4, 4, 4, 4), np.uint8)
    assert vectors.bound([unit], [acc[::2, ::2, ::2, ::2]], [vectors.PLAIN], codes) is None
    assert vectors.bound([unit], [acc[:4, :4, :4, :4, ::2]], [vectors.PLAIN], codes[..., :2]) is None


def test_a_quotient_by_a_reciprocal_is_right_or_one_less() -> None:
    """Every a of 10 bits and every divisor (docs/kernels.md)."""
    k = 10
    a = np.arange(1 << k)
    for b in range(1, (1 << k) + 1):
        less = a // b - (a * ((1 << k) // b) >> k)
        assert less.min() >= 0
        assert less.max() <= 1


def test_constants_beyond_a_word_have_no_vector_code() -> None:
    wide = units.Rescale(pq.Uniform(8, 0.1), units.Multiplier([2**30, 1], [0, 40]), (0,), acc_bits=31)
    assert wide.vector(2) is None
    rows = np.array([[2**29, -(2**30)], [-1, 2**30 - 1]])
    assert wide(rows).tolist() == wide.reference(rows).tolist()
