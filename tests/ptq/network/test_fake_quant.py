"""Fake quantization, by the formats and by torch, equals decode(encode(x)) to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim.ptq.network.products.fake_quant import Format, by_torch, decode_codes, fake_quantize

FakeQuantize = Callable[[torch.Tensor, Sequence[Format]], torch.Tensor]

scales = st.floats(2.0**-13, 8, width=32) | st.floats(2.0**-13, 8)  # those that calibration chooses, and any
choices = st.sampled_from(["paper", "nearest"])


@st.composite
def asymmetric(draw: st.DrawFn) -> pq.Uniform:
    bits, signed = draw(st.integers(2, 16)), draw(st.booleans())
    zero_point = draw(st.integers(*pq.Uniform(bits, 1.0, signed=signed).code_range))
    return pq.Uniform(bits, draw(scales), signed=signed, zero_point=zero_point)


formats = st.one_of(
    st.builds(lambda b, s: pq.Uniform(bits=b, scale=s), st.integers(2, 16), scales),
    asymmetric(),
    st.builds(
        lambda b, m, c: pq.TwinSoftmax(bits=b, shift=m, range_choice=c), st.integers(2, 16), st.integers(0, 24), choices
    ),
    st.builds(
        lambda b, m, s, c: pq.TwinGELU(bits=b, shift=m, scale=s, range_choice=c),
        st.integers(2, 16), st.integers(0, 12), scales, choices,
    ),
)  # fmt: skip


def hard_values(fmt: Format, rng: np.random.Generator) -> np.ndarray:
    """Grid points, midpoints and their neighbors, the range split, both ends, and random values in between."""
    table = np.unique(fmt.decode(np.arange(min(2**fmt.bits, 4096))))
    middles = (table[1:] + table[:-1]) / 2
    special = np.concatenate([table, middles, [0.0, -0.0, 2.0**-fmt.shift]]).astype(np.float32)
    reach = np.abs(table).max()
    random = rng.uniform(-1.2 * reach, 1.2 * reach, 2000).astype(np.float32)
    tiny = (random * rng.uniform(0, 1, 2000).astype(np.float32) ** 8).astype(np.float32)
    near = [np.nextafter(special, np.float32(np.inf)), np.nextafter(special, np.float32(-np.inf))]
    return np.concatenate([special, *near, random, tiny])


@pytest.mark.parametrize("quantize", [fake_quantize, by_torch])
@given(formats, st.integers(0, 2**32))
def test_equals_the_format_to_the_last_bit(quantize: FakeQuantize, fmt: Format, seed: int) -> None:
    x = hard_values(fmt, np.random.default_rng(seed))
    ours = quantize(torch.from_numpy(x)[None], [fmt])[0].numpy()
    theirs = fmt.decode(fmt.encode(x)).astype(np.float32)
    differ = np.flatnonzero(ours != theirs)
    assert differ.size == 0, (fmt, x[differ[:3]], ours[differ[:3]], theirs[differ[:3]])


@pytest.mark.parametrize("quantize", [fake_quantize, by_torch])
@pytest.mark.parametrize("transposed", [False, True])
def test_groups_have_their_own_formats(quantize: FakeQuantize, transposed: bool) -> None:
    x = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    tensor = torch.from_numpy(x.copy())
    if transposed:  # the same values, as the heads of an attention product lie in memory
        tensor = tensor.transpose(0, 1).contiguous().transpose(0, 1)
    chosen = [pq.TwinSoftmax(bits=5, shift=m) for m in (0, 3, 9)]
    ours = quantize(tensor, chosen).numpy()
    for g, fmt in enumerate(chosen):
        assert np.array_equal(ours[g], fmt.decode(fmt.encode(x[g])).astype(np.float32))
    assert np.array_equal(tensor.numpy(), x)  # and the input is as it was


@pytest.mark.parametrize("quantize", [fake_quantize, by_torch])
def test_groups_have_their_own_zero_points(quantize: FakeQuantize) -> None:
    x = np.random.default_rng(0).normal(0, 1, (3, 4, 50)).astype(np.float32)
    chosen = [pq.Uniform(4, 0.25, signed=signed, zero_point=z) for signed, z in ((False, 3), (False, 12), (True, -8))]
    ours = quantize(torch.from_numpy(x), chosen).numpy()
    for g, fmt in enumerate(chosen):
        assert np.array_equal(ours[g], fmt.decode(fmt.encode(x[g])).astype(np.float32))


def test_one_format_serves_all_groups() -> None:
    x = torch.rand(3, 4, 5)
    fmt = pq.Uniform(bits=4, scale=0.1)
    assert torch.equal(fake_quantize(x, [fmt]), fake_quantize(x, [fmt] * 3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("fmt", [pq.Uniform(8, 0.1), pq.TwinSoftmax(8, 4), pq.TwinGELU(8, 3, 0.003)], ids=str)
def test_half_precision_is_taken_as_float32(dtype: torch.dtype, fmt: Format) -> None:
    x = torch.linspace(-1, 2, 1000).reshape(2, 500).to(dtype)
    rounded = torch.from_numpy(fmt.decode(fmt.encode(x.float().numpy())).astype(np.float32)).to(dtype)
    for quantize in (fake_quantize, by_torch):
        assert torch.equal(quantize(x, [fmt]), rounded)
    codes = [pq.quantize(values.float().numpy(), fmt) for values in x]
    assert torch.equal(decode_codes(codes, x), rounded)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(formats, st.integers(0, 2**32))
def test_decoded_codes_are_the_same_bits(dtype: torch.dtype, fmt: Format, seed: int) -> None:
    x = torch.from_numpy(hard_values(fmt, np.random.default_rng(seed)))[None].to(dtype)
    codes = pq.quantize(x[0].numpy(), fmt)
    expected = torch.from_numpy(codes.real()).to(dtype)
    for found in (decode_codes([codes], x), fake_quantize(x, [fmt]), by_torch(x, [fmt])):
        assert torch.equal(found[0], expected)


@pytest.mark.parametrize("quantize", [fake_quantize, by_torch])
def test_groups_may_differ_in_width_and_kind(quantize: FakeQuantize) -> None:
    x = torch.rand(3, 4, 5)
    chosen = [pq.Uniform(4, 0.125), pq.Uniform(8, 2.0**-8), pq.TwinSoftmax(6, 5)]
    ours = quantize(x, chosen)
    for g, fmt in enumerate(chosen):
        assert np.array_equal(ours[g].numpy(), fmt.decode(fmt.encode(x[g].numpy())).astype(np.float32))


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 3 values are NaN or infinite"):
        fake_quantize(torch.tensor([[0.0, np.nan, 1.0]]), [pq.Uniform(bits=4, scale=1.0)])


def test_other_roundings_are_refused() -> None:
    with pytest.raises(ValueError, match="half_even"):
        fake_quantize(torch.zeros(1, 2), [pq.Uniform(bits=4, scale=1.0, rounding="half_away")])
    with pytest.raises(ValueError, match="half_even"):
        fake_quantize(torch.zeros(2, 2), [pq.Uniform(4, 1.0), pq.Uniform(4, 1.0, rounding="half_away")])
