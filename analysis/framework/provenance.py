"""Provenance: the record, written beside a figure or table, of what it was made from."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ptqsim.common import fingerprint, installed

from .frame import Data

_RECORDED: Final = ("python", "ptqsim", "numpy", "numba", "torch", "timm", "scikit-learn", "matplotlib")


def record(name: str, title: str, key: Mapping[str, Any], data: Data) -> dict[str, Any]:
    """The provenance of an artifact.

    Parameters
    ----------
    name, title : str
        Of the artifact.
    key : mapping
        What decided the data: options, seed, model, data set and their fingerprints.
    data : Data
        Its frames.

    Returns
    -------
    dict
        JSON values.  There is no date in it: the same command on the same machine writes the same bytes.
    """
    return {
        "artifact": name,
        "title": title,
        "command": command(),
        "made_from": dict(key),
        "data": {
            frame: {
                "columns": list(content.names),
                "rows": len(content),
                "sha256": fingerprint.text(content.csv()),
            }
            for frame, content in data.items()
        },
        "code_sha256": fingerprint.arithmetic(),
        "versions": installed.versions(_RECORDED),
    }


def command() -> str:
    """The command line of this process, without the directory of the interpreter or script."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
