from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ptqsim as pq
from ptqsim.formats import packed_size
from ptqsim.formats.arrays import packing


@pytest.mark.parametrize("bits", range(2, 17))
def test_every_width_and_many_lengths(bits: int, rng: np.random.Generator) -> None:
    for length in [*range(40), 1000]:
        codes = rng.integers(0, 1 << bits, length)
        data = pq.pack(codes, bits)
        stream = sum(code << (i * bits) for i, code in enumerate(codes.tolist()))
        assert data == stream.to_bytes(-(-length * bits // 8), "little")
        assert len(data) == packed_size(length, bits)
        again = pq.unpack(data, bits, length)
        assert again.dtype == (np.uint8 if bits <= 8 else np.uint16)
        assert np.array_equal(again, codes)


def test_extreme_codes_at_every_width() -> None:
    for bits in range(2, 17):
        codes = np.array([0, (1 << bits) - 1] * 9)
        assert np.array_equal(pq.unpack(pq.pack(codes, bits), bits, codes.shape), codes)


@given(st.integers(2, 16), st.data())
def test_shapes(bits: int, data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(0, 5), max_size=4)))
    count = int(np.prod(shape))
    codes = np.array(data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=count, max_size=count)), np.uint16)
    codes = codes.reshape(shape)
    again = pq.unpack(pq.pack(codes, bits), bits, shape)
    assert again.shape == shape
    assert np.array_equal(again, codes)


def test_blocks(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    codes = rng.integers(0, 1 << 5, 1003)
    whole = pq.pack(codes, 5)
    monkeypatch.setattr(packing, "_BLOCK", 64)
    assert pq.pack(codes, 5) == whole
    assert np.array_equal(pq.unpack(whole, 5, 1003), codes)


def test_quantized_array_packs_with_its_format(rng: np.random.Generator) -> None:
    array = pq.quantize(rng.normal(size=(7, 9)), pq.Uniform(5, 0.2))
    data = array.pack()
    assert len(data) == packed_size(63, 5)
    assert np.array_equal(pq.QuantizedArray.from_packed(data, array.format, (7, 9)).codes, array.codes)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"from 0 to 7, got 8 at index \(1,\) \(1 of 2"):
        pq.pack([1, 8], 3)
    with pytest.raises(ValueError, match=r"got -1 at index \(0,\)"):
        pq.pack([-1], 3)
    for bits in (1, 17, 3.0, True):
        with pytest.raises(ValueError, match="bits must be an integer from 2 to 16"):
            pq.pack([1], bits)
    with pytest.raises(ValueError, match="take 2 bytes, got 3"):
        pq.unpack(b"abc", 4, 4)
    with pytest.raises(ValueError, match="no negative sizes"):
        pq.unpack(b"", 4, (-1, 0))
    with pytest.raises(ValueError, match="must be unsigned integers"):
        pq.pack([1.5], 4)
