"""The folder of golden vectors: written so that an interruption leaves nothing whole, and read by its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ptqsim.common import files
from ptqsim.golden.layout import MANIFEST


def write_files(folder: Path, contents: Mapping[str, str | bytes], stale: Sequence[str] = ()) -> list[Path]:
    """Write all files of some vectors, the manifest last.

    Without a manifest there are no vectors: an old one is removed first.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    contents : mapping of str to str or bytes
        By name of the file; the manifest is one of them.
    stale : sequence of str, optional
        Files of older vectors that these ones do not have.

    Returns
    -------
    list of Path
        In the order of `contents`.
    """
    for name in (MANIFEST, *stale):
        (folder / name).unlink(missing_ok=True)
    for name in sorted(contents, key=lambda name: name == MANIFEST):
        files.write(folder / name, contents[name])
    return [folder / name for name in contents]


def manifest_text(directory: str | Path) -> str:
    """The manifest of a folder.

    Parameters
    ----------
    directory : str or Path
        A folder that holds golden vectors.

    Raises
    ------
    ValueError
        If there is no manifest in it.
    """
    path = Path(directory) / MANIFEST
    if not path.is_file():
        raise ValueError(f"{directory} holds no {MANIFEST}: give a directory that ptqsim vectors -o wrote")
    return path.read_bytes().decode("utf-8", "replace")
