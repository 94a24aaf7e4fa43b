"""Every test of products runs on what the processor has, and on what any processor has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ptqsim.kernels import machine


@pytest.fixture(scope="module", params=["this_processor", "any_processor"], autouse=True)
def fast(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether kernels that not every processor has may run."""
    if request.param == "this_processor" and not machine.DOT:
        pytest.skip("this processor has no instructions of its own that kernels use")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "any_processor":
            patch.setattr(machine, "DOT", False)
        yield machine.DOT
