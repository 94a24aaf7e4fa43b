from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import formats

FORMATS = [
    pq.Uniform(8, 0.02),
    pq.TwinSoftmax(8, 6),
    pq.TwinSoftmax(8, 6, range_choice="nearest"),
    pq.TwinGELU(8, 4, 0.0013),
]


@pytest.mark.parametrize("number_format", FORMATS, ids=str)
@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_not_finite(number_format: pq.NumberFormat, strange: float, dtype: type[np.floating]) -> None:
    real = np.zeros((3, 5), dtype)
    real[1, 2] = real[2, 0] = strange
    with pytest.raises(
        ValueError, match=rf"2 of 15 values are NaN or infinite, the first is {strange} at index \(1, 2\)"
    ):
        number_format.encode(real)


@pytest.mark.parametrize(
    ("scale", "error"),
    [
        (0.0, ValueError), (-1.0, ValueError), (np.nan, ValueError), (np.inf, ValueError), ("x", TypeError),
        (None, TypeError), ([1.0, 2.0], TypeError),
    ],
)  # fmt: skip
def test_scales(scale: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="scale must be"):
        pq.Uniform(8, scale)  # type: ignore[arg-type]
    with pytest.raises(error, match="scale must be"):
        pq.TwinGELU(8, 3, scale)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bits", "error"),
    [
        (1, ValueError), (17, ValueError), (0, ValueError), (-3, ValueError), (8.0, TypeError), ("8", TypeError),
        (True, TypeError), (None, TypeError),
    ],
)  # fmt: skip
def test_widths(bits: object, error: type[Exception]) -> None:
    for make in (lambda: pq.Uniform(bits, 1.0), lambda: pq.TwinSoftmax(bits, 3), lambda: pq.TwinGELU(bits, 3, 1.0)):  # type: ignore[arg-type]
        with pytest.raises(error, match="bits must be an integer from 2 to 16"):
            make()


@pytest.mark.parametrize(("shift", "error"), [(-1, ValueError), (33, ValueError), (1.5, TypeError), ("3", TypeError)])
def test_shifts(shift: object, error: type[Exception]) -> None:
    for make in (lambda: pq.TwinSoftmax(8, shift), lambda: pq.TwinGELU(8, shift, 1.0)):  # type: ignore[arg-type]
        with pytest.raises(error, match="shift must be an integer from 0 to 32"):
            make()


def test_names() -> None:
    with pytest.raises(ValueError, match="Did you mean 'half_even'"):
        pq.Uniform(8, 1.0, "half_evn")
    with pytest.raises(ValueError, match="Did you mean 'nearest'"):
        pq.TwinSoftmax(8, 3, range_choice="nearst")
    with pytest.raises(ValueError, match="leave rounding at its default"):
        pq.TwinSoftmax(8, 3, "half_up", "nearest")
    with pytest.raises(ValueError, match="Did you mean 'twin_gelu'"):
        formats.from_dict({"kind": "twin_glu"})
    with pytest.raises(ValueError, match="cannot make a number format"):
        formats.from_dict({"kind": "uniform", "bits": 8})
    with pytest.raises(ValueError, match="number format must be a string, got None"):
        formats.from_dict({})


def test_scale_that_the_data_cannot_be_divided_by() -> None:
    for scale in (1e-40, 1e39):
        with pytest.raises(ValueError, match="outside the normal range of float32"):
            pq.Uniform(8, scale).encode(np.zeros(3, np.float32))
        pq.Uniform(8, scale).encode(np.zeros(3))
    with pytest.raises(ValueError, match="outside the normal range of float32"):
        pq.TwinGELU(8, 32, 1e30).encode(np.zeros(3, np.float32))


def test_types() -> None:
    for real in (np.zeros(2, complex), np.array(["a"]), np.zeros(2, np.longdouble)):
        with pytest.raises(TypeError, match="reals must be"):
            pq.Uniform(8, 1.0).encode(real)


def test_codes() -> None:
    narrow = pq.Uniform(4, 1.0)
    for act in (narrow.align, narrow.decode, lambda codes: pq.QuantizedArray(codes, narrow)):
        with pytest.raises(ValueError, match=r"codes of 4 bits go from 0 to 15, got 16 at index \(1,\)"):
            act(np.array([3, 16], np.uint8))
        with pytest.raises(ValueError, match="got -1"):
            act(np.array([-1]))
        with pytest.raises(TypeError, match="must be unsigned integers"):
            act(np.array([1.0]))
    with pytest.raises(TypeError, match="format must be"):
        pq.QuantizedArray(np.zeros(2, np.uint8), "uniform")  # type: ignore[arg-type]


def test_immutable() -> None:
    array = pq.quantize(np.zeros(3), pq.Uniform(8, 1.0))
    with pytest.raises(ValueError, match="read-only"):
        array.codes[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        array.format.bits = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="follows from its other fields"):
        pq.TwinSoftmax(8, 3).with_scale(1.0)
    assert pq.Uniform(8, 1.0).with_scale(2.0) == pq.Uniform(8, 2.0)


def test_codes_cannot_change_behind_its_back() -> None:
    """Bounds are computed once and kept, so whoever made the codes must not be able to change them later."""
    number_format = pq.Uniform(4, 1.0)
    owned = np.full((2, 3), 3, np.uint8)
    shown = owned[:, :2]
    shown.flags.writeable = False  # and yet `owned` can be written
    for given in (owned, shown, owned.reshape(3, 2), np.broadcast_to(owned, (4, 2, 3)), memoryview(owned)):
        owned[:] = 3
        array = pq.QuantizedArray(given, number_format)
        owned[:] = 200
        assert set(array.codes.ravel().tolist()) == {3}
    for array in (pq.QuantizedArray([[1, 2]], number_format), pq.quantize([[1.0, 2.0]], number_format)):
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.codes.view().flags.writeable = True


def test_views(rng: np.random.Generator) -> None:
    codes = rng.integers(0, 256, (2, 3, 4), np.uint8)
    array = pq.QuantizedArray(codes, pq.Uniform(8, 0.5))
    assert not np.shares_memory(array.codes, codes)
    assert codes.flags.writeable
    assert np.shares_memory(array[:, 1:].codes, array.codes)
    assert np.shares_memory(pq.QuantizedArray(array.codes, array.format).codes, array.codes)
    assert (array.shape, array.ndim, array.size) == ((2, 3, 4), 3, 24)
    assert np.array_equal(array.swapaxes(0, 2).aligned(), array.aligned().T)
    assert array.reshape(6, 4).shape == (6, 4)
    assert np.array_equal(array[1].real(), array.real()[1])
