"""Small vectors of every kind of datapath, and ways to damage them."""

from __future__ import annotations

import hashlib
import json
from itertools import product
from pathlib import Path

import ptqsim as pq
from ptqsim import golden

FORMATS: dict[str, tuple[pq.NumberFormat, pq.NumberFormat]] = {
    "uniform": (pq.Uniform(8, 0.5), pq.Uniform(6, 0.25)),
    "softmax": (pq.TwinSoftmax(6, 5), pq.Uniform(8, 0.25)),
    "gelu": (pq.TwinGELU(5, 3, 0.1), pq.Uniform(12, 0.25)),
    "twin_pair": (pq.TwinSoftmax(4, 2), pq.TwinGELU(9, 4, 0.01)),
    "log2": (pq.Log2(4), pq.Uniform(4, 1.0)),
    "asymmetric": (pq.Uniform(8, 0.5, signed=False, zero_point=113), pq.Uniform(6, 0.25, zero_point=-5)),
    "unsigned": (pq.Uniform(7, 0.5, signed=False), pq.Uniform(5, 0.25, signed=False, zero_point=31)),
    "twin_asymmetric": (pq.TwinGELU(5, 3, 0.1), pq.Uniform(8, 0.25, zero_point=100)),
    "log2_root": (pq.Log2(5, root=2, fraction_bits=6), pq.Log2(4, root=4)),
    "minifloat": (pq.E4M3, pq.E2M1.with_scale(0.25)),
}
ORDERS = {"sequential": pq.Sequential(), "tree": pq.Tree(4), "split": pq.Split(5, 9)}
OVERFLOWS = ("wrap", "saturate", "trap")
ALIGNMENTS = ("product", "operand", "deferred")
DATAPATHS = list(product(FORMATS, OVERFLOWS, ORDERS, ALIGNMENTS))


def make(
    formats: str, overflow: str, order: str, alignment: str, bits: int | None = None, zero_point: str = "operand"
) -> golden.GoldenVectors:
    """Half of the width that the formats could need, so that most cases overflow."""
    a_format, b_format = FORMATS[formats]
    width = bits or (pq.required_bits(a_format, b_format, 11) + 3) // 2
    a, b = golden.stimulus(a_format, b_format, 7, 11, 5, seed=1)
    return golden.compute(a, b, pq.Accumulator(width, overflow, ORDERS[order], alignment, zero_point))


def replace(path: Path, line: int, old: str, new: str) -> None:
    """Change a line, counted from 1, of a file."""
    lines = path.read_text(encoding="utf-8").split("\n")
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    path.write_text("\n".join(lines), encoding="utf-8")


def line_of(path: Path, text: str) -> int:
    """Number of the one line that contains `text`."""
    found = [i for i, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1) if text in line]
    assert len(found) == 1
    return found[0]


def reseal(directory: Path) -> None:
    """Make every digest right again, as someone would who wants to go unnoticed."""
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    seal = next(key for key in manifest if key.startswith("sha256_of_this"))
    del manifest[seal]
    for file in manifest["files"]:
        if (directory / file).exists():
            manifest["files"][file] = hashlib.sha256((directory / file).read_bytes()).hexdigest()
    sealed = (json.dumps(manifest, indent=2) + "\n").encode()
    manifest[seal] = hashlib.sha256(sealed).hexdigest()
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
