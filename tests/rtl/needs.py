"""Tests of the generated hardware need Yosys and a C++ compiler; where they are absent, they say so."""

from __future__ import annotations

import os

import pytest

from ptqsim.rtl import tools

REQUIRED = os.environ.get("PTQSIM_RTL_REQUIRED") == "1"
"""True if a missing tool is a failure, as in continuous integration."""


def need(*names: str) -> None:
    """Skip with the reason if a tool is missing, or fail where all have to be there."""
    absent = tools.missing(names, "by this test")
    if absent and REQUIRED:
        pytest.fail("; ".join(absent))
    if absent:
        pytest.skip("; ".join(absent))
