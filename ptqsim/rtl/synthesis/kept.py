"""Counts that come with the package, so that a comparison and a figure need no synthesis.

`gates.csv` has a row per point and the digest of the RTL that was synthesized: a row of RTL that has changed since is
never found. `gates.json` says what counted. `ptqsim rtl synthesize --kept --anew -o FOLDER` writes both anew.
"""

from __future__ import annotations

import csv
import json
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from ptqsim.rtl.synthesis.gates import Gates

TABLE, ORIGIN = "gates.csv", "gates.json"
_COUNTS: Final = ("cells", "flip_flops", "transistors", "depth")


def digest(text: str) -> str:
    """Key by which a row names its RTL."""
    return sha256(text.encode()).hexdigest()[:16]


def gates(module: str, text: str) -> Gates | None:
    """The kept cost of a module, by its RTL; None if there is none."""
    row = rows().get(digest(text))
    if row is None:
        return None
    cells, flip_flops, transistors, depth = (int(row[name]) for name in _COUNTS)
    return Gates(module, cells, flip_flops, transistors, depth, None, None, origin()["tool"], origin()["flow"], None)


@cache
def rows() -> dict[str, dict[str, str]]:
    """Every row of the table, by the digest of its RTL."""
    with (files(__package__) / TABLE).open(encoding="utf-8") as file:
        return {row["rtl_sha256"]: row for row in csv.DictReader(file)}


@cache
def origin() -> dict[str, Any]:
    """Tools and versions behind the counts."""
    document: dict[str, Any] = json.loads((files(__package__) / ORIGIN).read_text(encoding="utf-8"))
    return document
