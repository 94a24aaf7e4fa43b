"""Fixtures and settings of all tests: repeatable randomness, and the choice of tests that can run here."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from zlib import crc32

import hypothesis
import numpy as np
import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, see ptqsim/cli/__main__.py

# Tests that run side by side (`make test`) leave each other a core; two threads show what threads can do wrong.
if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("NUMBA_NUM_THREADS", "2")

# A shell has its background jobs ignore Ctrl-C, and they hand that down: what tests start has to hear it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run; HYPOTHESIS_PROFILE=explore looks for new ones, and keeps what it finds.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

HAS_MODELS = all(find_spec(name) for name in ("torch", "timm", "sklearn", "safetensors"))
HAS_SWEEP = HAS_MODELS and all(find_spec(name) for name in ("distributed", "plotly", "pyarrow", "pydantic", "ruamel"))
collect_ignore = ([] if HAS_MODELS else ["ptq", "analysis"]) + ([] if HAS_SWEEP else ["sweep", "analysis/report"])


def pytest_report_header() -> str | None:
    if HAS_SWEEP:
        return None
    lacking = "tests/sweep, tests/analysis/report (the extra [cluster] is not installed)"
    if not HAS_MODELS:
        lacking = f"tests/ptq, tests/analysis (the extra [models] is not installed), {lacking}"
    return f"NOT COLLECTED: {lacking}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the network that `make fetch` makes, where that is not."""
    wanting = [item for item in items if item.get_closest_marker("fetched")]
    if not wanting:
        return
    from ptqsim.ptq.files.fetched_folder import State
    from ptqsim.ptq.zoo.fetched import DINOV2_SMALL_PHOTOS

    state = DINOV2_SMALL_PHOTOS.folder.state()
    if state is not State.FETCHED:
        for item in wanting:
            item.add_marker(pytest.mark.skip(reason=f"{DINOV2_SMALL_PHOTOS.folder.name} is {state}: make fetch"))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers that differ from test to test and not from run to run."""
    return np.random.default_rng(crc32(request.node.nodeid.encode()))


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables as wide as where there is no terminal, whatever the width that the tests are run at."""
    monkeypatch.delenv("COLUMNS", raising=False)
