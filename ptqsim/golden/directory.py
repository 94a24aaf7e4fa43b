"""Golden vectors into a directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptqsim.golden import archive, header, hexfile, manifest
from ptqsim.golden.folder import write_files
from ptqsim.golden.layout import ARCHIVE, HEADER, MANIFEST, checked_name, words
from ptqsim.golden.vectors import GoldenVectors


def write(
    vectors: GoldenVectors, directory: str | Path, source: Mapping[str, Any] | None = None, name: str = "golden"
) -> list[Path]:
    """Write hex files, C header, npz and manifest; the same vectors give the same bytes.

    Parameters
    ----------
    vectors : GoldenVectors
        The result of `compute`.
    directory : str or Path
        Made if it is not there. Vectors that are already in it are replaced; other files are left alone.
    source : mapping of str to object, optional
        Where the codes come from, plain data for the manifest.
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
    contents = {quantity.file: hexfile.render(quantity).encode() for quantity in words(vectors)}
    contents["trace.hex"] = hexfile.render_trace(vectors).encode()
    contents[HEADER] = header.render(vectors, prefix).encode()
    contents[ARCHIVE] = archive.render(vectors)
    digests = {file: manifest.digest(data) for file, data in contents.items()}
    document = manifest.document(vectors, prefix, source or {"kind": "given"}, manifest.versions(), digests)
    contents[MANIFEST] = manifest.render(document).encode()
    return write_files(folder, contents, stale=["acc.hex"])
