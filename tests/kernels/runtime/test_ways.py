"""The kernels for exact products that tests/gemm runs on this processor."""

from __future__ import annotations

import pytest

from ptqsim.kernels.runtime import machine
from tests.gemm.conftest import PRESENT, WAYS


@pytest.mark.parametrize("way", WAYS)
def test_products_are_tested_in_every_way_that_the_processor_has(way: str) -> None:
    if not getattr(machine, way):
        assert way not in PRESENT
        pytest.skip(f"this processor has no instructions for {WAYS[way]}")
    assert way in PRESENT
