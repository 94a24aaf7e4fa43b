"""Nothing that a constructor promised can be undone: by a copy, a pickle, other memory, or around the frozen fields."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import golden, reference
from ptqsim.datapath import bounds
from ptqsim.formats.arrays.immutable import Constructed, is_sealed, reconstructed, seal, sealed

EIGHT = pq.Uniform(8, 1.0)
NARROW = pq.Accumulator(14, "saturate")


def ones(shape: tuple[int, ...] = (8, 1)) -> pq.QuantizedArray:
    return pq.QuantizedArray(np.ones(shape, np.uint8), EIGHT)


WAYS: dict[str, Callable[[pq.QuantizedArray], pq.QuantizedArray]] = {
    "itself": lambda array: array,
    **{
        f"pickle {protocol}": lambda array, protocol=protocol: pickle.loads(pickle.dumps(array, protocol))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "deepcopy of a list": lambda array: copy.deepcopy([array])[0],
    "from_packed": lambda array: pq.QuantizedArray.from_packed(array.pack(), array.format, array.shape),
    "reshape": lambda array: array.reshape(-1, 8).reshape(*array.shape),
    "swapaxes": lambda array: array.swapaxes(0, 1).swapaxes(0, 1),
    "getitem": lambda array: array[:],
    "constructor": lambda array: pq.QuantizedArray(array.codes, array.format),
    "quantize": lambda array: pq.quantize(array.real(), array.format),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("columns", [1, 20_000])  # large arrays are handed on and not copied
def test_codes_cannot_be_written_to(way: str, columns: int) -> None:
    array = WAYS[way](ones((8, columns)))
    assert array.shape == (8, columns)
    assert (array.codes == 1).all()
    memory: object = array.codes
    while isinstance(memory, np.ndarray):
        with pytest.raises(ValueError, match="read-only"):
            memory[...] = 127
        with pytest.raises(ValueError, match="cannot set WRITEABLE"):
            memory.flags.writeable = True
        memory = memory.base


def test_memory_that_somebody_else_has(tmp_path: Path) -> None:
    """An owner, a view from before, a buffer, a file: each is written to once the codes were taken from it."""
    owner = np.ones((8, 1), np.uint8)
    owner.flags.writeable = False
    view_before = np.ones((8, 1), np.uint8)
    view = view_before[:]
    view_before.flags.writeable = False
    buffer = bytearray(b"\x01" * 8)
    shown = np.frombuffer(memoryview(buffer).toreadonly(), np.uint8).reshape(8, 1)
    (tmp_path / "codes").write_bytes(b"\x01" * 8)
    writing = np.memmap(tmp_path / "codes", np.uint8, "r+", shape=(8, 1))
    mapped = np.memmap(tmp_path / "codes", np.uint8, "r", shape=(8, 1))
    arrays = [pq.QuantizedArray(codes, EIGHT) for codes in (owner, view_before, shown, mapped)]
    owner.flags.writeable = True
    owner[:] = 127
    view[:] = 127
    buffer[:] = b"\x7f" * 8
    writing[:] = 127
    assert [codes.tolist() for codes in (owner, view_before, shown, mapped)] == [[[127]] * 8] * 4
    assert [array.codes.tolist() for array in arrays] == [[[1]] * 8] * 4


def test_memory_that_nobody_can_write_to_is_not_copied() -> None:
    shown = np.frombuffer(b"\x01" * 8, np.uint8)
    large = np.ones(1 << 17, np.uint8)
    assert np.shares_memory(seal(large), large)
    for codes in (shown, seal(large), seal(np.ones(8, np.uint8)), ones().codes):
        assert is_sealed(codes)
        assert sealed(codes) is codes
        assert np.shares_memory(pq.QuantizedArray(codes, EIGHT).codes, codes)
    assert not is_sealed(large)
    assert not is_sealed(np.ones(8, np.uint8))


@pytest.mark.parametrize("way", ["pickle 2", f"pickle {pickle.HIGHEST_PROTOCOL}", "deepcopy"])
def test_a_bound_is_of_the_codes_that_are_multiplied(way: str) -> None:
    """127 * 127 * 8 leaves 14 bits, 127 * 1 * 8 does not: a kept bound of the latter would let the former through."""
    x = pq.QuantizedArray(np.full((1, 8), 127, np.uint8), EIGHT)
    w = WAYS[way](ones())
    assert pq.matmul(x, w, NARROW).acc.tolist() == [[1016]]
    with pytest.raises(ValueError, match="read-only"):
        w.codes[:] = 127
    result = pq.matmul(x, pq.QuantizedArray(np.full((8, 1), 127, np.uint8), EIGHT), NARROW)
    assert (result.acc.tolist(), result.exact) == ([[8191]], False)


def test_codes_and_formats_that_are_put_in_around_the_constructor() -> None:
    x, w = pq.QuantizedArray(np.full((1, 8), 127, np.uint8), EIGHT), ones()
    codes = np.ones((8, 1), np.uint8)
    object.__setattr__(w, "codes", codes)
    for value in (1, 127, 1):
        codes[:] = value
        result = pq.matmul(x, w, NARROW)
        assert result.acc.tolist() == reference.matmul(x, w, NARROW) == [[8191 if value == 127 else 1016]]
        assert result.exact == (value == 1)
    object.__setattr__(w, "codes", ones().codes)
    object.__setattr__(w, "format", pq.TwinSoftmax(8, 4))
    assert pq.matmul(x, w, NARROW).acc.tolist() == reference.matmul(x, w, NARROW) == [[1016]]
    object.__setattr__(w, "codes", pq.QuantizedArray(np.full((8, 1), 129, np.uint8), w.format).codes)
    assert pq.matmul(x, w, NARROW).acc.tolist() == reference.matmul(x, w, NARROW) == [[8191]]
    object.__setattr__(w, "format", pq.Uniform(4, 1.0))
    with pytest.raises(ValueError, match="codes of 4 bits go from 0 to 15, got 129"):
        pq.matmul(x, w, NARROW)


def test_formats_and_accumulators_that_are_changed_in_place() -> None:
    fmt, accumulator = pq.TwinSoftmax(8, 0), pq.Accumulator(14, "saturate")
    x, w = pq.QuantizedArray(np.full((1, 8), 127, np.uint8), EIGHT), pq.QuantizedArray(np.full((8, 1), 129), fmt)
    assert pq.matmul(x, w, accumulator).acc.tolist() == [[1016]]
    object.__setattr__(fmt, "shift", 4)
    assert pq.matmul(x, w, accumulator).acc.tolist() == reference.matmul(x, w, accumulator) == [[8191]]
    object.__setattr__(accumulator, "alignment", "deferred")
    assert pq.matmul(x, w, accumulator).acc.tolist() == reference.matmul(x, w, accumulator) == [[1016 << 4]]
    object.__setattr__(accumulator, "bits", 99)
    with pytest.raises(ValueError, match="accumulator bits must be an integer from 2 to 63"):
        pq.matmul(x, w, accumulator)


def test_orders_that_are_changed_in_place_or_exchanged() -> None:
    """An order is a field of the accumulator with fields of its own, and two orders have different ones."""
    x, w = pq.QuantizedArray(np.full((1, 8), 127, np.uint8), EIGHT), pq.QuantizedArray(np.full((8, 1), 127), EIGHT)
    accumulator = pq.Accumulator(16, "saturate", "split:4:16")

    def found() -> list[list[int]]:
        result = pq.matmul(x, w, accumulator)
        assert result.acc.tolist() == reference.matmul(x, w, accumulator)
        return list(result.acc.tolist())

    assert found() == [[32767]]
    object.__setattr__(accumulator.order, "inner_bits", 15)
    assert found() == [[32766]]  # twice 16383
    for order in (pq.Sequential(), pq.Tree(2), pq.Split(4, 14)):
        object.__setattr__(accumulator, "order", order)
        assert found() == [[16382 if isinstance(order, pq.Split) else 32767]]


FORMATS = [
    EIGHT, pq.TwinSoftmax(8, 6), pq.TwinGELU(8, 4, 0.01), pq.Log2(4), pq.PWLQ(4, 0.1, 0.5, 1.0),
]  # fmt: skip
VALUES: list[Constructed] = [
    *FORMATS, pq.Accumulator(14), pq.Sequential(), pq.Tree(3), pq.Split(5, 17), pq.Requantizer(3, 4),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_values_are_copied_by_their_constructor(value: Constructed) -> None:
    for again in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert again == value
        assert type(again) is type(value)


@pytest.mark.parametrize(
    ("value", "field"), [(pq.Uniform(8, 1.0), "bits"), (pq.Accumulator(9), "bits"), (pq.Requantizer(3, 4), "shift")]
)
def test_a_value_that_no_constructor_would_make_is_not_unpickled(value: Constructed, field: str) -> None:
    object.__setattr__(value, field, 99)
    for again in (lambda: pickle.loads(pickle.dumps(value)), lambda: copy.deepcopy(value)):
        with pytest.raises(ValueError, match="got 99"):
            again()


@pytest.mark.parametrize("fmt", FORMATS[:4], ids=str)
def test_tables_cannot_be_written_to(fmt: pq.NumberFormat) -> None:
    """They are kept and serve every format of these widths."""
    for table in (fmt.aligned_table(), *(each.mantissa for each in fmt.ranges())):
        with pytest.raises(ValueError, match="cannot set WRITEABLE"):
            table.flags.writeable = True


def test_what_bounds_and_vectors_say_cannot_be_written_to() -> None:
    bound = bounds.weight_aware(EIGHT, ones())
    vectors = golden.compute(ones((1, 8)), ones(), pq.Accumulator(14))
    for again in (bound, pickle.loads(pickle.dumps(bound)), copy.deepcopy(bound)):
        assert again == bound
        assert again.per_output.tolist() == [11]  # -128 * 8
        assert is_sealed(again.per_output)
    for again in (vectors, pickle.loads(pickle.dumps(vectors)), copy.deepcopy(vectors)):
        assert again.acc.tolist() == [[8]]
        assert is_sealed(again.acc)
        assert is_sealed(again.trace)


def test_a_reconstructed_copy_is_shared_and_keeps_its_fields() -> None:
    given = pq.Uniform(8, 0.5)
    copied = reconstructed(given)
    assert copied == given
    assert copied is not given
    assert reconstructed(pq.Uniform(8, 0.5)) is copied
    object.__setattr__(given, "bits", 4)  # which is a key of the cache
    assert (reconstructed(given), copied) == (pq.Uniform(4, 0.5), pq.Uniform(8, 0.5))
    assert reconstructed(pq.Uniform(8, 0.5)) == pq.Uniform(8, 0.5)
    for bits in (99, [8]):
        object.__setattr__(given, "bits", bits)
        with pytest.raises((TypeError, ValueError), match="bits"):
            reconstructed(given)


@pytest.mark.parametrize(
    "change",
    [
        lambda codes: setattr(codes, "strides", (1, 8)),
        lambda codes: codes.__setstate__((1, codes.shape, codes.dtype, False, bytes([127]) * codes.size)),
    ],
)
@pytest.mark.filterwarnings("ignore:Setting the strides:DeprecationWarning")
def test_codes_that_were_changed_in_place_are_not_multiplied(change) -> None:  # type: ignore[no-untyped-def]
    """NumPy lets attributes of a read-only array be set; what is kept of the array would no longer be of its codes."""
    number_format, accumulator = pq.Uniform(8, 1.0), pq.Accumulator(11, "saturate")
    a = pq.QuantizedArray(np.full((8, 8), 2, np.uint8), number_format)
    w = pq.QuantizedArray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 3, number_format)
    pq.matmul(a, w, accumulator)
    change(w.codes)
    with pytest.raises(ValueError, match="given another shape, type or memory in place"):
        pq.matmul(a, w, accumulator)
