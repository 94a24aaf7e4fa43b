"""Counts that come with the package, so that a comparison and a figure need no synthesis.

`gates.csv` and, for integer units, `gates.units.csv` have a row per point and the digest of the RTL that was
synthesized: a row of RTL that has changed since is never found. The JSON files beside them say what counted.
`ptqsim rtl synthesize --kept --anew -o FOLDER` writes the first anew, `ptqsim rtl synthesize all --anew -o FOLDER` the
second.
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
UNITS_TABLE, UNITS_ORIGIN = "gates.units.csv", "gates.units.json"
_COUNTS: Final = ("cells", "flip_flops", "transistors", "depth")


def digest(text: str) -> str:
    """Key by which a row names its RTL."""
    return sha256(text.encode()).hexdigest()[:16]


def gates(module: str, text: str) -> Gates | None:
    """The kept cost of a module, by its RTL; None if there is none."""
    for table, made in ((TABLE, ORIGIN), (UNITS_TABLE, UNITS_ORIGIN)):
        row = rows(table).get(digest(text))
        if row is not None:
            cells, flip_flops, transistors, depth = (int(row[name]) for name in _COUNTS)
            tool, flow = origin(made)["tool"], origin(made)["flow"]
            return Gates(module, cells, flip_flops, transistors, depth, None, None, tool, flow, None)
    return None


@cache
def rows(table: str = TABLE) -> dict[str, dict[str, str]]:
    """Every row of a table, by the digest of its RTL."""
    with (files(__package__) / table).open(encoding="utf-8") as file:
        return {row["rtl_sha256"]: row for row in csv.DictReader(file)}


@cache
def origin(made: str = ORIGIN) -> dict[str, Any]:
    """Tools and versions behind the counts of a table."""
    document: dict[str, Any] = json.loads((files(__package__) / made).read_text(encoding="utf-8"))
    return document
