"""Folders in the user's cache that hold what was fetched: where they are, and whether they are whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import platformdirs

from ptqsim.common import files, fingerprint
from ptqsim.common.choice import Choice

PLACE: Final = "PTQSIM_CACHE_DIR"
"""Environment variable that names another cache folder."""
_MANIFEST: Final = "manifest.json"


class State(Choice):
    """State of something that can be fetched."""

    ABSENT = "not fetched"
    OUTDATED = "of another release"
    DAMAGED = "damaged"
    FETCHED = "fetched"


def cache_folder() -> Path:
    """The folder in which everything that is fetched has one of its own."""
    given = os.environ.get(PLACE)
    return Path(given) if given else platformdirs.user_cache_path("ptqsim", appauthor=False)


@dataclass(frozen=True)
class FetchedFolder:
    """A folder of fetched files; a manifest in it says what they were when they were made.

    Attributes
    ----------
    name : str
        What ``ptqsim fetch`` calls it.
    version : int
        Counts the changes of its content from release to release.
    """

    name: str
    version: int

    @property
    def path(self) -> Path:
        """The place of the folder, whether it is there or not."""
        return cache_folder() / self.name

    def file(self, name: str) -> Path:
        """One of its files, with the content that it was made with.

        Raises
        ------
        FileNotFoundError
            Where nothing was fetched.
        ValueError
            Where the file is missing or changed, or of another release.
        """
        state = self._state([name])
        if state is State.ABSENT:
            raise FileNotFoundError(
                f"{self.name} is not fetched, {self.path} is not there: run 'ptqsim fetch {self.name}' once, which "
                f"needs the network, or set {PLACE} to the cache folder that has it"
            )
        if state is not State.FETCHED:
            raise ValueError(f"{self.path / name} is {state}: run 'ptqsim fetch {self.name}', which makes it anew")
        return self.path / name

    def state(self) -> State:
        """The state of the folder, for which every file is read."""
        return self._state(None)

    def about(self) -> dict[str, Any]:
        """The record that was made when the folder was made; empty where it can't be read."""
        try:
            manifest = json.loads((self.path / _MANIFEST).read_bytes())
        except (OSError, ValueError):
            return {}
        return manifest if isinstance(manifest, dict) else {}

    def write_manifest(self, folder: Path, names: list[str], about: Mapping[str, object]) -> None:
        """Finish a folder that is to take this place: digests of its files, and what else is to be known."""
        digests = {name: fingerprint.file(folder / name) for name in names}
        manifest = {**about, "version": self.version, "files": digests}
        files.write(folder / _MANIFEST, json.dumps(manifest, indent=2) + "\n")

    def _state(self, names: list[str] | None) -> State:
        if not self.path.is_dir():
            return State.ABSENT
        about = self.about()
        digests = about.get("files")
        if not isinstance(digests, dict):
            return State.DAMAGED
        if about.get("version") != self.version:
            return State.OUTDATED
        for name in digests if names is None else names:
            try:
                if fingerprint.file(self.path / name) != digests.get(name):
                    return State.DAMAGED
            except OSError:
                return State.DAMAGED
        return State.FETCHED
