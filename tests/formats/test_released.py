"""The released code's behavior, next to the paper's."""

from __future__ import annotations

import json

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import formats
from ptqsim.formats import GELU_MIN, ReleasedTwinGELU, ReleasedTwinSoftmax


@pytest.mark.parametrize("bits", [3, 6, 8])
@pytest.mark.parametrize("exponent", [1, 3, 6, 9])
def test_softmax_adds_both_ranges(bits: int, exponent: int) -> None:
    split, top = 2.0**-exponent, 2 ** (bits - 1) - 1
    released = ReleasedTwinSoftmax(bits, split)
    x = np.linspace(0, 1, 2001)
    found = released.fake_quantize(x)
    coarse_split = np.rint(split * top) / top
    above, below = x >= split, x < split
    assert np.abs(found - (x + split))[above].max() <= 0.5 / top + 1e-12
    assert np.abs(found - (x + coarse_split))[below].max() <= 0.5 * released.scale + 1e-12
    paper = pq.TwinSoftmax(bits, exponent)
    assert np.abs(paper.decode(paper.encode(x)) - x).max() <= 2.0 ** -(bits - 1)
    assert np.mean((found - x) ** 2) > np.mean((paper.decode(paper.encode(x)) - x) ** 2)


def test_gelu_chooses_by_sign_with_scales_of_its_own(rng: np.random.Generator) -> None:
    released = ReleasedTwinGELU(8, -GELU_MIN / 128, 0.031)
    x = np.concatenate([rng.uniform(-0.17, 0, 500), rng.uniform(0, 3, 500)]).astype(np.float32)
    found = released.fake_quantize(x)
    assert found.dtype == np.float32
    scales = np.where(x < 0, np.float32(released.scale), np.float32(0.031))
    expected = np.where(x < 0, np.clip(np.rint(x / scales), -128, 0), np.clip(np.rint(x / scales), 0, 127)) * scales
    assert np.array_equal(found, expected)
    # 128 steps cover the negative range, and 128 are there; the positive one has 127.
    assert released.fake_quantize(np.float32(GELU_MIN)) == np.float32(-128) * np.float32(released.scale)
    assert released.fake_quantize(np.float32(99)) == np.float32(127) * np.float32(0.031)


def test_export_flags_every_code() -> None:
    released = ReleasedTwinGELU(8, 0.001, 0.02)
    assert released.encode([-0.05, 0.0, 0.5]).tolist() == [128 + 50, 128, 128 + 25]
    softmax = ReleasedTwinSoftmax(8, 2.0**-4)
    # Both magnitudes are added to 128: 127 in R1 and round(127 / 2) in R2 leave eight bits and wrap.
    assert softmax.encode([0.5]).tolist() == [(128 + 127 + 64) % 256]


@pytest.mark.parametrize("released", [ReleasedTwinSoftmax(8, 0.1), ReleasedTwinGELU(8, 0.001, 0.02)], ids=str)
def test_no_datapath_takes_it(released: pq.NumberFormat) -> None:
    array, uniform = pq.quantize([[0.5]], released), pq.quantize([[1.0]], pq.Uniform(8, 0.1))
    assert not released.shift_alignable
    for act in (array.aligned, released.ranges, lambda: pq.matmul(array, uniform, pq.Accumulator())):
        with pytest.raises(ValueError, match=r"no shift aligns it\. Use TwinSoftmax or TwinGELU"):
            act()
    with pytest.raises(ValueError, match="cannot be decoded"):
        array.real()
    assert formats.from_dict(json.loads(json.dumps(released.to_dict()))) == released


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="split must be at most 1"):
        ReleasedTwinSoftmax(8, 1.5)
    with pytest.raises(ValueError, match="split must be finite and positive"):
        ReleasedTwinSoftmax(8, 0.0)
    with pytest.raises(ValueError, match="positive_scale must be finite and positive"):
        ReleasedTwinGELU(8, 1.0, -1.0)
    for released in (ReleasedTwinSoftmax(8, 0.5), ReleasedTwinGELU(8, 1.0, 1.0)):
        with pytest.raises(ValueError, match="NaN or infinite"):
            released.encode([np.nan])
        with pytest.raises(ValueError, match="NaN or infinite"):
            released.fake_quantize([np.inf])
