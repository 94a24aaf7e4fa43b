"""Every test of products runs on what the processor has, and on what any processor has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ptqsim.kernels import machine


@pytest.fixture(scope="module", params=["matrix_unit", "dot_products", "any_processor"], autouse=True)
def exact_bytes(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Name of the kernel for exact products of bytes, which not every processor has."""
    if request.param == "matrix_unit" and not machine.MATRIX:
        pytest.skip("this processor has no matrix unit (Intel AMX)")
    if request.param == "dot_products" and not machine.DOT:
        pytest.skip("this processor has no dot products of bytes (AVX-512 VNNI)")
    with pytest.MonkeyPatch.context() as patch:
        if request.param != "matrix_unit":
            patch.setattr(machine, "MATRIX", False)
        if request.param == "any_processor":
            patch.setattr(machine, "DOT", False)
        yield {"matrix_unit": "matrix_int8", "dot_products": "dot_int8", "any_processor": None}[request.param]
