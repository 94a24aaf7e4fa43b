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
    directory : str or Path
        Made if it is not there. Other files in it are left alone.
    source : mapping of str to object, optional
        Where the inputs come from, plain data for the manifest.
    name : str, optional
        Prefix of every name in the C header.

    Returns
    -------
    list of Path
        The files that were written, the manifest last.

    Raises
    ------
    ValueError
        If the name cannot prefix names in C.
    """
    folder, prefix = Path(directory), checked_name(name)
    contents = files.render(vectors, prefix, source or {"kind": "given"}, manifest.versions())
    return write_files(folder, contents)
