"""What a result of a study is known by, beside its own parameters: the code that computes it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from ptqsim import fingerprint

_OWN: Final = ("measure.py", "parts.py", "sources.py")


@cache
def code_version() -> str:
    """SHA-256 of all code that a point of a study depends on, and of the packages that compute."""
    return fingerprint.text(fingerprint.arithmetic() + fingerprint.sources(Path(__file__).parent, _OWN))


@cache
def search_version() -> str:
    """SHA-256 of the code that answers questions from points."""
    return fingerprint.sources(Path(__file__).parent, ["questions.py"])
