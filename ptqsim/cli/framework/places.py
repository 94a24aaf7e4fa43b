"""Places that a command writes to, checked before its work."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import typer

OUT: Final = ("-o", "--out", "--output")
"""Names of the option that says where a command writes its result: a file, or a folder where there are several."""


def path(text: str) -> Path:
    """Parse a path that an option names; an empty one, as from a variable of the shell that is not set, is refused."""
    if not text:
        raise typer.BadParameter("the path is empty; legal is the name of a file or folder ('.' is this one).")
    return Path(text)


def check_file(option: str, place: Path | None, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse a place where no file can be written.

    Parameters
    ----------
    option : str
        What names it, for the message.
    place : Path or None
        None is checked not at all. Folders that are missing are made when the file is written.
    inputs : iterable of paths
        What the command reads, and what else it writes: no other file may take its place.

    Raises
    ------
    ValueError
        If it is a folder, a device or one of the inputs, or what should hold it is no folder or may not be written to.
    """
    if place is None:
        return
    if place.is_dir():
        raise ValueError(f"{option} {place} is a folder; legal is the name of a file: try {option} {place / 'NAME'}")
    if place.exists() and not place.is_file():
        raise ValueError(f"{option} {place} is a device, a pipe or a socket; legal is the name of a file")
    for other in inputs:
        if other is not None and os.path.realpath(other) == os.path.realpath(place):
            raise ValueError(
                f"{option} {place} is also named as another file of this command, which it would replace: name another"
            )
    _check_holder(option, place, Path(os.path.realpath(place)).parent)


def check_folder(option: str, place: Path | None) -> None:
    """Refuse a place where no folder can be made, or nothing written into it.

    Parameters
    ----------
    option, place : str and Path or None
        As for :func:`check_file`.

    Raises
    ------
    ValueError
        If it is a file, or what should hold it is no folder or may not be written to.
    """
    if place is None:
        return
    if place.exists() and not place.is_dir():
        raise ValueError(f"{option} {place} is a file; legal is the name of a folder, which is made if it is missing")
    _check_holder(option, place, Path(os.path.realpath(place)))


def _check_holder(option: str, place: Path, folder: Path) -> None:
    """Check the nearest folder that is there."""
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise ValueError(f"{option} {place} lies in {folder}, which is a file; legal is a place in a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{option} {place} can't be written: {folder} is read-only for you; name another place")
