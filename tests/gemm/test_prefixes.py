"""The range of the prefix sums of deep products, which is found without going through every step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim.gemm.operands import operand as operands
from ptqsim.gemm.product import Product
from ptqsim.gemm.results import prefixes
from ptqsim.kernels.matmul import prefix
from ptqsim.kernels.runtime import machine

U8 = pq.Uniform(8, 1.0)
formats = st.one_of(
    st.builds(pq.Uniform, st.integers(2, 8), st.just(1.0)),
    st.builds(pq.TwinSoftmax, st.integers(2, 8), st.integers(0, 6)),
    st.builds(pq.TwinGELU, st.integers(2, 8), st.integers(0, 4), st.just(0.01)),
)


def ranges(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """Least and greatest sum of the first products, by numpy, one product of the depth after the other."""
    sums = np.zeros((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), np.int64)
    low = high = 0
    for k in range(a.shape[-1]):
        sums += a[..., :, k, None] * b[..., k, None, :]
        low, high = min(low, int(sums.min())), max(high, int(sums.max()))
    return low, high


def check(a: pq.QuantizedArray, b: pq.QuantizedArray) -> None:
    found = pq.matmul(a, b, pq.Accumulator(48)).overflow
    assert found is not None
    low, high = ranges(a.aligned(), b.aligned())
    assert (found.prefixes.lowest, found.prefixes.highest) == (low, high)


def wanted(rng: np.random.Generator, fmt: pq.NumberFormat, shape: tuple[int, ...], shape_of: str) -> np.ndarray:
    codes = rng.integers(0, fmt.code_count, shape)
    if shape_of == "few":  # outputs far apart from all others
        codes[..., rng.integers(0, shape[-2], 2), :] = fmt.code_count // 2 - 1
    if shape_of == "zeros":
        codes[rng.random(shape) < 0.95] = 0
    if shape_of == "waves":  # all of one sign, then all of the other
        codes = np.where(np.arange(shape[-1]) % 96 < 48, codes % (fmt.code_count // 2), codes)
    return codes


@given(
    formats, formats, st.sampled_from(["any", "few", "zeros", "waves"]), st.integers(1, 70), st.integers(230, 400),
    st.integers(1, 120), st.integers(0, 2**32),
)  # fmt: skip
def test_equals_numpy(
    a_format: pq.NumberFormat, b_format: pq.NumberFormat, kind: str, rows: int, depth: int, columns: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    a = pq.QuantizedArray(wanted(rng, a_format, (rows, depth), kind), a_format)
    b = pq.QuantizedArray(wanted(rng, b_format, (depth, columns), kind), b_format)
    check(a, b)


@pytest.mark.parametrize("lead", [((3,), (3,)), ((2, 1), (3,)), ((4,), ())], ids=str)
def test_batches(lead: tuple[tuple[int, ...], tuple[int, ...]], rng: np.random.Generator) -> None:
    a = pq.QuantizedArray(rng.integers(0, 256, (*lead[0], 45, 300)), U8)
    b = pq.QuantizedArray(rng.integers(0, 256, (*lead[1], 300, 130)), U8)
    check(a, b)


@pytest.mark.parametrize("at", [0, 63, 64, 200, 319])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_peak_within_a_segment_is_found(at: int, sign: int, rng: np.random.Generator) -> None:
    """Three products up and three down again, in one output of many: no sum at the end of a segment shows it."""
    a, b = rng.integers(-3, 4, (100, 320)), rng.integers(-3, 4, (320, 200))
    first = min(at, 314)
    a[77, first : first + 6] = 127
    b[first : first + 6, 133] = sign * np.array([127, 127, 127, -127, -127, -127])
    check(pq.quantize(a, U8), pq.quantize(b, U8))


def test_threads_change_nothing(rng: np.random.Generator) -> None:
    a, b = (pq.QuantizedArray(rng.integers(0, 256, shape), U8) for shape in ((200, 300), (300, 500)))
    before = pq.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 5):
            pq.set_num_threads(threads)
            overflow = pq.matmul(a, b, pq.Accumulator(32)).overflow
            assert overflow is not None
            found.append(overflow.prefixes)
    finally:
        pq.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def product(a: np.ndarray, b: np.ndarray, fmt: pq.NumberFormat = U8) -> Product:
    return Product(operands.left(pq.QuantizedArray(a, fmt)), operands.right(pq.QuantizedArray(b, U8)))


def test_most_tiles_are_not_gone_through(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    if not machine.DOT:
        pytest.skip("needs a processor that multiplies bytes")
    steps: list[int] = []
    by_steps = prefixes._by_steps

    def counted(product: Product, group: int, tiles: np.ndarray) -> np.ndarray:
        steps.append(len(tiles))
        return by_steps(product, group, tiles)

    monkeypatch.setattr(prefixes, "_by_steps", counted)
    deep = product(rng.integers(0, 256, (197, 768)), rng.integers(0, 256, (768, 960)))
    prefixes.prefixes(deep, pq.Accumulator(32))
    assert sum(steps) * 20 < 250  # of 25 blocks times 10 panels


def test_sums_too_large_for_its_registers_are_refused() -> None:
    """Sums or norms that could leave int32 are observed step by step."""
    twin = pq.TwinSoftmax(8, 13)
    large, small = np.full((3, 300), 255), np.full((3, 300), 1)
    b = np.full((300, 5), 127)
    assert not product(large, b, twin).is_below(prefix.LIMIT)
    assert prefixes._by_segments(product(large, b, twin)) is None
    assert (prefixes._by_segments(product(small, b, twin)) is None) == (not machine.DOT)
    for codes in (large, small):
        check(pq.QuantizedArray(codes, twin), pq.QuantizedArray(b, U8))
