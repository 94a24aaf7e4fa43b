"""Results do not depend on the floating-point environment of the caller, and it is as before afterwards."""

from __future__ import annotations

import dataclasses
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import ptqsim as pq
from ptqsim.formats import FORMATS
from ptqsim.kernels.calibration import ranking
from ptqsim.kernels.runtime import environment as _environment
from ptqsim.kernels.runtime import threads as _threads

X86 = platform.machine() in ("x86_64", "AMD64")
pytestmark = pytest.mark.skipif(not X86, reason="sets bits of the MXCSR")

FLUSH = 0x8040  # results and operands that are subnormal become zero
UPWARD = 0x4000
STRANGE = {"flush": 0x1F80 | FLUSH, "upward": 0x1F80 | UPWARD, "toward zero": 0x1F80 | 0x6000, "all": 0x1F80 | 0xE040}

TINY = float(np.finfo(np.float32).tiny)


@contextmanager
def environment(register: int) -> Iterator[None]:
    """A caller's environment; it has to be left as it is, apart from the exceptions that there were."""
    exchange = _environment.exchange_own()
    before = exchange(register)
    try:
        yield
    finally:
        after = exchange(before)
    assert after & ~0x3F == register


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    before = _threads._count
    yield
    _threads._count = before


def run(function: str, **settings: str) -> None:
    """Call a function of this module in a process of its own."""
    code = f"import runpy; runpy.run_path({__file__!r})[{function!r}]()"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | settings, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def formats() -> list[pq.NumberFormat]:
    """One of every kind, with the least scales that float32 has."""
    given = {"bits": 5, "shift": 3, "scale": TINY, "tail_scale": TINY, "positive_scale": TINY}
    given |= {"breakpoint": 3 * TINY, "split": 40 * TINY, "exponent_bits": 3, "mantissa_bits": 2}
    return [
        kind(**{field.name: given[field.name] for field in dataclasses.fields(kind) if field.name in given})  # type: ignore[arg-type]
        for kind in FORMATS.values()
    ]


def _subnormals() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Half of them subnormal, and enough for two threads."""
    values = np.random.default_rng(0).integers(0, 1 << 24, 1 << 15).astype(np.uint32).view(np.float32)
    return values * np.float32(-1.0) ** np.arange(len(values), dtype=np.float32)


REALS = _subnormals()
REALS64 = REALS.astype(np.float64)


def outcomes(number_format: pq.NumberFormat) -> list[bytes]:
    """Codes of subnormals, and the reals of these codes."""
    made: list[Callable[[], np.ndarray[tuple[int, ...], np.dtype[np.generic]]]] = [
        lambda: number_format.encode(REALS),
        lambda: number_format.encode(REALS64),
        lambda: number_format.fake_quantize(REALS),
        lambda: number_format.fake_quantize(REALS64),
        lambda: number_format.decode(np.arange(number_format.code_count)),
        number_format.real_table,
    ]
    found = []
    for make in made:
        try:
            found.append(make().tobytes())
        except ValueError as error:  # the released formats have no reals of codes
            found.append(str(error).encode())
    return found


@pytest.mark.parametrize("register", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("number_format", formats(), ids=lambda one: one.kind)
def test_formats(number_format: pq.NumberFormat, register: int) -> None:
    expected = outcomes(number_format)
    for threads in (1, 2, 3):
        _threads.use(threads)
        assert outcomes(number_format) == expected
        with environment(register):
            assert outcomes(dataclasses.replace(number_format)) == expected  # type: ignore[type-var]


def test_the_codes_are_those_of_the_definition() -> None:
    exact = np.rint(REALS64 / TINY)  # both are normal in float64, and the quotient is exact
    assert np.count_nonzero(exact[np.abs(REALS64) < TINY])  # subnormal, and no zeros as codes
    with environment(STRANGE["flush"]):
        codes = pq.Uniform(8, TINY).encode(REALS)
    assert np.array_equal(codes, exact.astype(np.int64) & 255)


@pytest.mark.parametrize("register", STRANGE.values(), ids=STRANGE)
def test_products_and_requantization(register: int) -> None:
    small = pq.Uniform(8, 1.5e-154)
    a, b = (pq.QuantizedArray(np.arange(64).reshape(shape), small) for shape in ((4, 16), (16, 4)))
    codes = [1, 10, 100, -1000], 1e-308, pq.Uniform(8, 5e-308)

    def found() -> tuple[object, ...]:
        result = pq.matmul(a, b, pq.Accumulator(20))
        reals, singles = result.real(), result.real(np.empty((4, 4), np.float32))
        # the scale of a product is the least but a little that a format may have
        parts = result.scale, reals.tobytes(), singles.tobytes()
        return (*parts, *(pq.requantize(*codes, multiplier_bits=bits).tobytes() for bits in (31, None)))

    expected = found()
    assert expected[0] == 1.5e-154 * 1.5e-154
    with environment(register):
        assert found() == expected


def test_kernels_that_are_called_by_themselves() -> None:
    scores = np.array([[1, 2, 10]], np.uint32).view(np.float32)  # in units of the least subnormal
    order, exact = np.array([[0, 1, 2]]), np.empty((0, 0), np.float32)

    def total() -> int:
        out = np.empty(1, np.float32)
        ranking.hinge_sums(0, 1, scores, order, exact, np.float32(0), np.float32(0), out)
        return int(out.view(np.uint32)[0])

    assert total() == 1 + 9 + 8
    with environment(STRANGE["flush"]):
        assert total() == 1 + 9 + 8


def exceptions_trap() -> None:
    number_format = pq.Uniform(8, 0.3)
    with environment(0):
        number_format.encode(REALS)


def test_exceptions_that_trap() -> None:
    """A process whose exceptions are not masked is ended by the first inexact quotient."""
    run("exceptions_trap")


def test_what_torch_flushes() -> None:
    """As torch has it, with threads from before and from after."""
    torch = pytest.importorskip("torch")
    expected = outcomes(pq.Uniform(8, TINY))
    if not torch.set_flush_denormal(True):
        pytest.skip("torch does not flush here")
    try:
        for threads in (1, 2, 4):
            _threads.use(threads)
            assert outcomes(pq.Uniform(8, TINY)) == expected
        assert float(torch.tensor(1e-40) * 1) == 0  # still as torch was told
    finally:
        torch.set_flush_denormal(False)


def test_without_a_compiler(tmp_path: Path) -> None:
    """No machine code of an earlier process is needed: the one function that is still compiled compiles."""
    run("test_the_codes_are_those_of_the_definition", NUMBA_DISABLE_JIT="1", NUMBA_CACHE_DIR=str(tmp_path))
