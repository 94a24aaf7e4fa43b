"""Golden vectors of a unit into a directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptqsim.golden import manifest
from ptqsim.golden.folder import write_files
from ptqsim.golden.layout import checked_name
from ptqsim.golden.of_units import files
from ptqsim.golden.of_units.vectors import UnitVectors


def write_unit(
    vectors: UnitVectors, directory: str | Path, source: Mapping[str, Any] | None = None, name: str = "golden"
) -> list[Path]:
    """Write hex files, C header, npz and manifest; the same vectors give the same bytes.

    Parameters
    ----------
    vectors : UnitVectors
        The result of `compute_unit`.
    directory, source, name : str or Path, mapping of str to object, and str
        As for `ptqsim.golden.write`.

    Returns
    -------
    list of Path
        As of `ptqsim.golden.write`.

    Raises
    ------
    ValueError
        If the name cannot prefix names in C.
    """
    folder, prefix = Path(directory), checked_name(name)
    contents = files.render(vectors, prefix, source or {"kind": "given"}, manifest.versions())
    return write_files(folder, contents)
