"""Profiles of processors against their instructions, executed through C intrinsics, a million outputs each."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.profiles import ARM_SMLAL, AVX2_U8S8, VNNI_U8S8, VNNI_U8S8_SATURATE

SOURCE = Path(__file__).with_name("instructions.c")
COMPILER = shutil.which("gcc") or shutil.which("cc")
U8, S8 = pq.Uniform(8, 1.0, signed=False), pq.Uniform(8, 1.0)
# Flags of the processor, in the order in which they are looked for, and what the compiler calls their instructions.
VNNI = {
    "avx512_vnni": ["-mavx512vnni", "-mavx512vl"],
    "avx_vnni": [
        "-mavxvnni",
        "-D_mm256_dpbusd_epi32=_mm256_dpbusd_avx_epi32",
        "-D_mm256_dpbusds_epi32=_mm256_dpbusds_avx_epi32",
    ],
}


def features() -> set[str]:
    """Extensions of the instruction set that the processor has."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return set()
    return set(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())


def compiled(folder: Path, flags: list[str], name: str) -> Callable[..., None]:
    """A product of the C file, compiled for instructions that the processor has."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    built = folder / f"{name}.so"
    command = [COMPILER, "-std=gnu11", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", *flags, "-o", built, SOURCE]
    subprocess.run(command, check=True)
    function: Callable[..., None] = getattr(ctypes.CDLL(str(built)), name)
    return function


def executed(function: Callable[..., None], a: NDArray[np.uint8], b: NDArray[np.int8]) -> NDArray[np.int32]:
    """The product [M, K] by [K, N] of an instruction; K a multiple of 4, and N of 8."""
    (rows, depth), columns = a.shape, b.shape[1]
    in_words = np.ascontiguousarray(b.reshape(depth // 4, 4, columns).swapaxes(1, 2))
    out = np.empty((rows, columns), np.int32)
    sizes = [ctypes.c_int64(size) for size in (rows, depth, columns)]
    function(*(ctypes.c_void_p(array.ctypes.data) for array in (np.ascontiguousarray(a), in_words, out)), *sizes)
    return out


def compare(profile: pq.profiles.Profile, function: Callable[..., None], rng: np.random.Generator) -> float:
    """Compare a million outputs of random codes and of extreme ones, and give the share that is not the exact sum."""
    a = rng.integers(0, 256, (1024, 60), dtype=np.uint8)
    b = rng.integers(-128, 128, (60, 1024)).astype(np.int8)
    a[::3], b[:, ::3] = (
        rng.choice([0, 127, 128, 254, 255], a[::3].shape),
        rng.choice([-128, -127, 126, 127], b[:, ::3].shape),
    )
    left, right = pq.QuantizedArray(a, U8), pq.QuantizedArray(b.view(np.uint8), S8)
    found = profile.matmul(left, right, statistics=False)
    assert found.acc.size >= 10**6
    assert np.array_equal(found.acc, executed(function, a, b))
    part = profile.matmul(left[:40], right[:, :40])  # counted, by another kernel
    assert np.array_equal(part.acc, found.acc[:40, :40])
    return float(np.mean(found.acc != left.aligned() @ right.aligned()))


def test_pairs_saturate_on_avx2(tmp_path: Path, rng: np.random.Generator) -> None:
    if "avx2" not in features():
        pytest.skip("the processor has no AVX2")
    assert compare(AVX2_U8S8, compiled(tmp_path, ["-mavx2"], "product_avx2"), rng) > 0.1


@pytest.fixture
def vnni(tmp_path: Path) -> Callable[[pq.profiles.Profile], Callable[..., None]]:
    """The instruction of a profile, where the processor has it."""
    flags = next((flags for name, flags in VNNI.items() if name in features()), None)
    if flags is None:
        pytest.skip("the processor has no VNNI")
    names = {"VNNI_U8S8": "product_vnni", "VNNI_U8S8_SATURATE": "product_vnni_saturate"}
    return lambda profile: compiled(tmp_path, ["-mavx2", "-DVNNI", *flags], names[profile.name])


BOTH = pytest.mark.parametrize("profile", [VNNI_U8S8, VNNI_U8S8_SATURATE], ids=lambda profile: profile.name)


@BOTH
def test_four_products_at_once_on_vnni(
    profile: pq.profiles.Profile,
    vnni: Callable[[pq.profiles.Profile], Callable[..., None]],
    rng: np.random.Generator,
) -> None:
    assert compare(profile, vnni(profile), rng) == 0


@pytest.mark.slow
@BOTH
def test_registers_of_vnni_overflow(
    profile: pq.profiles.Profile,
    vnni: Callable[[pq.profiles.Profile], Callable[..., None]],
    rng: np.random.Generator,
) -> None:
    """A million sums of 70,000 products, most of which leave 32 bits; some come back, as their last products have the
    other sign.
    """
    depth, columns = 70_000, 64
    a = rng.integers(250, 256, (1024, depth), dtype=np.uint8)
    left, execute = pq.QuantizedArray(a, U8), vnni(profile)
    differ = {"exact": 0, "wrapped": 0, "clamped": 0}
    for _ in range(16):
        turn = rng.integers(68_000, depth + 1_000, columns)
        signs = rng.choice([-1, 1], columns) * np.where(np.arange(depth)[:, None] < turn, 1, -1)
        b = (signs * rng.integers(125, 128, (depth, columns)) - (signs < 0)).astype(np.int8)
        right = pq.QuantizedArray(b.view(np.uint8), S8)
        found = profile.matmul(left, right, statistics=False).acc
        assert np.array_equal(found, executed(execute, a, b))
        exact = pq.matmul(left, right, pq.Accumulator(48), statistics=False).acc
        others = {"exact": exact, "wrapped": exact.astype(np.int32), "clamped": np.clip(exact, -(2**31), 2**31 - 1)}
        for name, other in others.items():
            differ[name] += int(np.count_nonzero(found != other))
    outputs = 16 * len(a) * columns
    assert outputs >= 10**6
    assert differ["exact"] > outputs / 2
    assert differ["clamped"] > outputs / 10
    assert (differ["wrapped"] == 0) == (profile is VNNI_U8S8)


@BOTH
def test_counted_overflows_of_vnni(
    profile: pq.profiles.Profile, vnni: Callable[[pq.profiles.Profile], Callable[..., None]]
) -> None:
    """70,000 products of 255 * 127 leave 32 bits."""
    a, b = np.full((1, 70_000), 255, np.uint8), np.full((70_000, 8), 127, np.int8)
    found = profile.matmul(pq.QuantizedArray(a, U8), pq.QuantizedArray(b.view(np.uint8), S8))
    assert found.overflow is not None
    assert found.overflow.outputs == 8
    assert np.array_equal(found.acc, executed(vnni(profile), a, b))


@pytest.mark.parametrize("profile", [AVX2_U8S8, ARM_SMLAL], ids=lambda profile: profile.name)
def test_pairs_on_paper(profile: pq.profiles.Profile, rng: np.random.Generator) -> None:
    """A million outputs by NumPy: pairs of products in 16 bits, which saturate or wrap, and sums in 32 bits."""
    a = rng.choice([0, 1, 128, 254, 255] if profile is AVX2_U8S8 else [-128, -127, 0, 127], (1024, 24))
    b = rng.choice([-128, -127, 0, 1, 127], (24, 1024))
    pairs = a.reshape(1024, 12, 2)[:, :, None] * b.T.reshape(1024, 12, 2).swapaxes(0, 1)[None]
    sums = pairs.sum(axis=3)
    held = np.clip(sums, -(2**15), 2**15 - 1) if profile is AVX2_U8S8 else sums.astype(np.int16).astype(np.int64)
    assert np.any(held != sums)
    codes = pq.QuantizedArray((a & 255).astype(np.uint8), U8 if profile is AVX2_U8S8 else S8)
    found = profile.matmul(codes, pq.QuantizedArray((b & 255).astype(np.uint8), S8), statistics=False).acc
    assert found.size >= 10**6
    assert np.array_equal(found, held.sum(axis=1).astype(np.int32))
