"""The version of the code that computes a result, which is part of the result's key."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from ptqsim.common import fingerprint

_ROOT: Final = Path(__file__).parents[1]
_OWN: Final = ("plan/parts.py", "work/measure.py", "work/sources.py")


@cache
def code_version() -> str:
    """SHA-256 of all code that a point of a study depends on, and of the packages that compute."""
    return fingerprint.text(fingerprint.arithmetic() + fingerprint.sources(_ROOT, _OWN))


@cache
def search_version() -> str:
    """SHA-256 of the code that answers questions from points."""
    return fingerprint.sources(_ROOT, ["plan/questions.py"])
