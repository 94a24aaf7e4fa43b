"""Arrays that are taken and refused: masks, byte orders, types, and empty ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ptqsim as pq
from ptqsim.errors import ArgumentTypeError
from ptqsim.formats import ReleasedTwinGELU, ReleasedTwinSoftmax

EIGHT = pq.Uniform(8, 0.5)
FORMATS = [
    EIGHT, pq.Uniform(12, 0.5), pq.TwinSoftmax(8, 3), pq.TwinSoftmax(8, 3, range_choice="nearest"),
    pq.TwinGELU(8, 3, 0.1), pq.Log2(4), pq.PWLQ(8, 0.1, 0.5, 1.0), ReleasedTwinSoftmax(8, 0.25),
    ReleasedTwinGELU(8, 0.1, 0.2),
]  # fmt: skip
DECODABLE = FORMATS[:7]

OF_REALS: dict[str, Callable[[Any], Any]] = {
    "encode": EIGHT.encode,
    "fake_quantize": EIGHT.fake_quantize,
    "quantize": lambda given: pq.quantize(given, EIGHT).codes,
}
OF_INTEGERS: dict[str, Callable[[Any], Any]] = {
    "decode": EIGHT.decode,
    "align": EIGHT.align,
    "QuantizedArray": lambda given: pq.QuantizedArray(given, EIGHT).codes,
    "pack": lambda given: np.frombuffer(pq.pack(given, 8), np.uint8),
    "requantize": lambda given: pq.requantize(given, 1.0, EIGHT),
    "requantize bias": lambda given: pq.requantize(np.zeros(np.shape(given), int), 1.0, EIGHT, bias=given),
    "apply": pq.Requantizer(1, 0).apply,
}


@pytest.mark.parametrize("name", [*OF_REALS, *OF_INTEGERS])
def test_masked_values_are_refused(name: str) -> None:
    act = (OF_REALS | OF_INTEGERS)[name]
    masked: Any = np.ma.array([1, 2, 3], mask=[False, True, True])
    for given in (masked, [masked, masked], [[masked], (masked,)]):
        with pytest.raises(ValueError, match=r"must be a plain array, got a masked one with [24] of its values masked"):
            act(given)
    if name != "requantize bias":  # whose shape the test asks numpy for, which warns
        with pytest.raises(ValueError, match="with 1 of its values masked"):
            act([1, np.ma.masked])


@pytest.mark.parametrize("name", [*OF_REALS, *OF_INTEGERS])
def test_a_mask_that_hides_nothing_and_a_matrix_are_taken(name: str) -> None:
    act = (OF_REALS | OF_INTEGERS)[name]
    plain = np.array([[1, 2, 3]])
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix(plain)
    for given in (np.ma.array(plain), np.ma.array(plain, mask=np.zeros((1, 3), bool)), matrix):
        found = act(given)
        assert type(found) is np.ndarray
        assert np.array_equal(found, act(plain))


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16, np.uint64])
def test_every_byte_order_is_taken(fmt: pq.NumberFormat, dtype: type[np.generic]) -> None:
    real = (np.arange(24) - (0 if np.issubdtype(dtype, np.unsignedinteger) else 7)).astype(dtype).reshape(4, 6)
    for order in "<>":
        given = real.astype(np.dtype(dtype).newbyteorder(order))
        for act in (fmt.encode, fmt.fake_quantize):
            assert np.array_equal(act(given), act(real))
            assert np.array_equal(act(given.T), act(real.T))
            assert act(given).dtype.isnative


@pytest.mark.parametrize("name", OF_INTEGERS)
def test_every_byte_order_of_integers_is_taken(name: str) -> None:
    values = np.array([0, 1, 2, 100], np.int64)
    for dtype in ("<u2", ">u2", "<i4", ">i4", ">i8", "|u1"):
        assert np.array_equal(OF_INTEGERS[name](values.astype(dtype)), OF_INTEGERS[name](values))


def test_unsigned_integers_of_64_bits_are_no_accumulators() -> None:
    for dtype in ("<u8", ">u8"):
        with pytest.raises(TypeError, match="integers of at most 64 bits, signed, got an array of uint64"):
            pq.requantize(np.array([2**64 - 1], dtype), 1.0, EIGHT)
    with pytest.raises(ValueError, match=f"codes of 8 bits go from 0 to 255, got {2**64 - 1}"):
        pq.pack(np.array([2**64 - 1], ">u8"), 8)


@pytest.mark.parametrize(
    "given",
    [
        np.zeros(2, np.longdouble), np.zeros(2, complex), np.zeros(2, object), np.array(["1", "2"]), np.array([b"1"]),
        np.zeros(2, "M8[s]"), np.zeros(2, "m8[s]"), np.zeros(2, [("x", "f4")]), None, "12", b"12",
    ],
    ids=lambda given: getattr(given, "dtype", repr(given)),
)  # fmt: skip
def test_types_that_are_no_numbers_of_a_machine_are_refused(given: Any) -> None:
    for act in (*OF_REALS.values(), pq.Log2(4).encode, pq.PWLQ(4, 0.1, 0.5, 1.0).encode):
        with pytest.raises(TypeError, match="reals must be float16, float32, float64, integers or booleans, got"):
            act(given)
    for name, act in OF_INTEGERS.items():
        if name != "requantize bias" or np.ndim(given):
            with pytest.raises(TypeError, match=r"(codes|acc|bias) must be (unsigned )?integers of"):
                act(given)


class Foreign:
    """A tensor as torch's looks to NumPy: an ``__array__`` that raises what torch raises."""

    dtype, device = "torch.bfloat16", "cpu"

    def __init__(self, requires_grad: bool) -> None:
        self.requires_grad = requires_grad

    def detach(self) -> Foreign:
        return self

    def __array__(self, dtype: object = None, copy: object = None) -> Any:
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        raise TypeError("Got unsupported ScalarType BFloat16")


class Broken:
    def __array__(self, dtype: object = None, copy: object = None) -> Any:
        raise OSError("a disk\nin two lines")


@pytest.mark.parametrize("name", [*OF_REALS, *OF_INTEGERS])
def test_what_numpy_makes_no_array_of_is_refused_in_one_line(name: str) -> None:
    """Tensors by their methods; rows of different lengths, strings and complex numbers by what they are."""
    act = (OF_REALS | OF_INTEGERS)[name]
    if name == "requantize bias":
        act = lambda given: pq.requantize([1], 1.0, EIGHT, bias=given)  # noqa: E731
    for given, error, message in (
        (Foreign(False), TypeError, "got a Foreign of torch.bfloat16 on cpu; try tensor.detach().cpu().numpy()"),
        (Foreign(True), TypeError, "got a Foreign of torch.bfloat16 on cpu with a gradient; try tensor.detach()"),
        ([[Foreign(True)]], TypeError, "got a Foreign of torch.bfloat16 on cpu with a gradient"),
        ([[1, 2], [3]], ValueError, "must be an array, got a list whose entries differ in shape"),
        (([1], 2), ValueError, "must be an array, got a tuple whose entries differ in shape"),
        (Broken(), TypeError, "got a Broken that NumPy does not take (a disk)"),
    ):
        with pytest.raises(error, match=re.escape(message)) as caught:
            act(given)
        assert isinstance(caught.value, ArgumentTypeError) == (error is TypeError)
        assert "\n" not in str(caught.value)


def test_tensors_of_torch() -> None:
    torch = pytest.importorskip("torch")
    assert EIGHT.encode(torch.tensor([1.0, 2.0])).tolist() == [2, 4]
    for given in (
        torch.ones(2, dtype=torch.bfloat16), torch.ones(2, requires_grad=True), torch.ones(2, device="meta"),
        [torch.ones(1, requires_grad=True)], torch.ones(2).to_sparse(),
    ):  # fmt: skip
        with pytest.raises(ArgumentTypeError, match=r"got a (Tensor of torch|list|Tensor).*; (try|convert)"):
            pq.quantize(given, EIGHT)


def test_booleans_and_halves() -> None:
    """Reals may be either, exactly; codes and accumulators are integers."""
    assert EIGHT.encode([True, False]).tolist() == EIGHT.encode([1.0, 0.0]).tolist()
    halves = np.array([0.25, 1.5, 6e-8, 65504], np.float16)
    assert np.array_equal(EIGHT.encode(halves), EIGHT.encode(halves.astype(np.float32)))
    for act in OF_INTEGERS.values():
        for wrong in (np.array([True, False]), np.array([1.0, 0.0], np.float16)):
            with pytest.raises(TypeError, match=r"got an array of (bool|float16)"):
                act(wrong)


@pytest.mark.parametrize("empty", [[], (), [[]], np.zeros((0, 3)), np.zeros(0, np.uint8)], ids=str)
def test_nothing_in_is_nothing_out(empty: Any) -> None:
    shape = np.shape(empty)
    for fmt in FORMATS:
        assert (fmt.encode(empty).shape, fmt.encode(empty).dtype) == (shape, fmt.code_dtype)
        assert fmt.fake_quantize(empty).shape == pq.quantize(empty, fmt).shape == shape
    for fmt in DECODABLE:
        assert fmt.decode(empty).shape == pq.QuantizedArray(empty, fmt).shape == shape
        assert pq.QuantizedArray(empty, fmt).real().shape == shape
    for fmt in DECODABLE[:6]:
        assert fmt.align(empty).shape == shape
    assert pq.pack(empty, 5) == b""
    assert pq.unpack(b"", 5, shape).shape == shape
    for multiplier_bits in (31, None):
        found = pq.requantize(empty, 0.5, EIGHT, multiplier_bits=multiplier_bits, bias=empty)
        assert (found.shape, found.dtype) == (shape, np.uint8)
    for rounding in pq.RequantizeRounding:
        assert pq.Requantizer(2**30, 32, rounding).apply(empty).shape == shape


def test_products_of_nothing() -> None:
    for rows, depth, columns in ((0, 3, 2), (2, 0, 3), (2, 3, 0), (0, 0, 0)):
        a, b = pq.quantize(np.zeros((rows, depth)), EIGHT), pq.quantize(np.zeros((depth, columns)), EIGHT)
        for overflow in ("wrap", "saturate", "trap"):
            result = pq.matmul(a, b, pq.Accumulator(8, overflow))
            assert result.acc.tolist() == result.real().tolist() == np.zeros((rows, columns)).tolist()
            assert result.exact
            assert result.overflow is not None
            assert (result.overflow.events, result.overflow.first, result.overflow.bits_needed) == (0, None, 2)


@pytest.mark.parametrize("scale", ["0.5", b"1", np.ones(1), [1.0], True + 1j, 10**400, np.ma.masked])
def test_scales_that_are_no_number(scale: Any) -> None:
    makers: list[Callable[[Any], Any]] = [
        lambda s: pq.Uniform(8, s), lambda s: pq.TwinGELU(8, 3, s), lambda s: pq.PWLQ(4, s, 0.5, 1.0),
        lambda s: pq.Requantizer.of(s),
    ]  # fmt: skip
    if not isinstance(scale, np.ndarray | list):  # an array is one scale per channel there
        makers.append(lambda s: pq.requantize([1], s, EIGHT))
    for make in makers:
        with pytest.raises(
            ValueError if isinstance(scale, int) else TypeError,
            match=r"(scale|factor) must be one finite positive number, got",
        ):
            make(scale)


def test_formats_whose_codes_stand_for_more_than_float64_holds() -> None:
    most = float(np.finfo(np.float64).max)
    makers: list[Callable[[float], pq.NumberFormat]] = [
        lambda s: pq.Uniform(8, s), lambda s: pq.TwinGELU(8, 3, s), lambda s: pq.PWLQ(4, s, 1.0, 1.0),
        lambda s: pq.PWLQ(4, 1.0, s, 1.0),
    ]  # fmt: skip
    for make in makers:
        assert np.isfinite(make(most / 2048).real_table()).all()
    for make in (*makers, lambda s: ReleasedTwinGELU(8, 1.0, s)):
        with pytest.raises(
            ValueError, match=r"stands for more than 1.8e\+308, the largest float64; give a smaller scale"
        ):
            make(most / 4)
