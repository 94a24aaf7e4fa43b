"""Every test of products runs on what the processor has, and on what others have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ptqsim.kernels.runtime import machine

# What a processor may have for exact products of words, the fastest first, and the kernel that takes it.
WAYS = {"MATRIX": "matrix_int8", "DOT": "dot_int8", "PAIRS": "dot_int16"}


PRESENT = [name for name in WAYS if getattr(machine, name)]  # tests/kernels/runtime/test_ways.py names the others


@pytest.fixture(scope="module", params=[*PRESENT, "BLAS"], autouse=True)
def exact_words(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Name of the kernel for exact products of bytes, None if they run through BLAS."""
    faster = [*WAYS, "BLAS"][: [*WAYS, "BLAS"].index(request.param)]
    with pytest.MonkeyPatch.context() as patch:
        for name in faster:
            patch.setattr(machine, name, False)
        yield WAYS.get(request.param)
