"""Versions of what is installed, as records of results name them."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def versions(names: Iterable[str]) -> dict[str, str]:
    """Versions of packages, in the given order; those that are not installed are left out.

    Parameters
    ----------
    names : iterable of str
        Names of distributions, and "python" for the interpreter.
    """
    found = {}
    for name in names:
        try:
            found[name] = platform.python_version() if name == "python" else version(name)
        except PackageNotFoundError:
            continue
    return found
