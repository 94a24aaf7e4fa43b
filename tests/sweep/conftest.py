"""Studies whose work is pretended: the real machinery, and points that cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.studies.study import plan_of
from ptqsim.sweep.execution import clusters
from ptqsim.sweep.plan.planning import Plan

if TYPE_CHECKING:
    from distributed import Client


@pytest.fixture
def make_plan(tmp_path: Path) -> Callable[[str], Plan]:
    """A plan of pretended work, its cache in a folder of the test."""
    return lambda text: plan_of(text, tmp_path / "cache")


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """Two processes of this machine, for all tests that harm none of them."""
    with clusters.local(2) as made:
        yield made
