"""Profiles as objects: what they take, what they refuse, and names."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import profiles
from ptqsim.profiles import AVX2_U8S8, PROFILES, TFLITE, TFLITE_16X8

U8, S8 = pq.Uniform(8, 0.5, signed=False), pq.Uniform(8, 0.25)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_every_profile(profile: profiles.Profile) -> None:
    assert profiles.named(profile.name) is profile is getattr(profiles, profile.name)
    assert pickle.loads(pickle.dumps(profile)) == profile
    assert profile.source
    assert (profile.out is None) == (profile.requantization is None)
    signed = [profile.a.signed is not False, profile.b.signed is not False]
    a, b = (pq.Uniform(side.bits, 0.5, signed=one) for side, one in zip((profile.a, profile.b), signed, strict=True))
    left, right = (pq.QuantizedArray(np.ones(shape, fmt.code_dtype), fmt) for shape, fmt in (((2, 3), a), ((3, 2), b)))
    acc = profile.matmul(left, right).acc
    assert acc.tolist() == [[3, 3], [3, 3]]
    if profile.out is not None:
        out = pq.Uniform(profile.out.bits, 0.25, signed=profile.out.signed is not False)
        assert profile.requantize(acc, a, b, out, [1, -1]).tolist() == [[4, 2], [4, 2]]


REFUSALS: dict[str, tuple[Callable[[], object], str]] = {
    "signed": (lambda: AVX2_U8S8.check(S8, S8), r"takes unsigned .* as a, got Uniform.*try pq.Uniform\(8, scale"),
    "too wide": (lambda: AVX2_U8S8.check(U8, pq.Uniform(9, 1.0)), "takes signed uniform codes of up to 8 bits.* as b"),
    "zero point": (lambda: TFLITE.check(S8, pq.Uniform(8, 1.0, zero_point=3)), "zero point 0, a scale per .* as b"),
    "channels": (lambda: TFLITE.check(pq.Uniform(8, [1.0, 2.0], axis=-2), S8), "any zero point, one scale as a"),
    "twin": (lambda: TFLITE.check(pq.TwinSoftmax(8, 6), S8), "TFLITE takes signed uniform codes"),
    "product": (
        lambda: TFLITE_16X8.matmul(pq.quantize([[1.0]], U8), pq.quantize([[1.0]], S8)), "TFLITE_16X8 takes signed",
    ),
    "no array": (lambda: TFLITE.matmul([[1]], [[1]]), "a must be a QuantizedArray"),  # type: ignore[arg-type]
    "no requantization": (lambda: AVX2_U8S8.requantize([1], U8, S8, S8), "AVX2_U8S8 describes products alone"),
    "output": (lambda: TFLITE.requantize([1], S8, S8, U8), "TFLITE gives signed uniform codes of up to 8 bits"),
    "name": (lambda: profiles.named("TFLIGHT"), "unknown profile 'TFLIGHT'.*Did you mean 'TFLITE'"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSALS.values(), ids=REFUSALS)
def test_refusals(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_narrow_codes_are_extended(rng: np.random.Generator) -> None:
    """Activations of 7 bits do not saturate a pair, and those of 8 do."""
    w = pq.QuantizedArray(rng.integers(0, 256, (32, 9), dtype=np.uint8), S8)
    for bits, saturates in ((7, False), (8, True)):
        x = pq.QuantizedArray(np.full((2, 32), (1 << bits) - 1, np.uint8), pq.Uniform(bits, 0.5, signed=False))
        assert (not AVX2_U8S8.matmul(x, w).exact) == saturates


def test_a_bias_is_added_in_the_register() -> None:
    """It wraps there with the sum; the code is that of a large negative number."""
    found = TFLITE.requantize([5], S8, S8, S8, [2**31 - 1])
    assert S8.align(found).tolist() == [-128]
