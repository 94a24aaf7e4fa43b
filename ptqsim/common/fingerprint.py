"""Fingerprints: SHA-256 digests of what a result is made from, so that equal keys mean equal results.

A fingerprint depends on content and on nothing else: of files on their names relative to a folder, their order and all
their bytes, never on sizes or times.  No digest of a file is remembered.  A cache keyed by path, size, inode, mtime and
ctime would be faster, but it can miss a change: writing through a memory map doesn't touch the times at once, and on
tmpfs never; two writes within one tick of the clock have the same times; and FAT, SMB and NFS report times that are
coarse, or cached.  What makes this affordable is that callers hash only the files that a result was made from, and that
several threads do it: SHA-256 runs at 1 to 2 GB/s per core.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.common import installed

_THREADS: Final = min(8, os.cpu_count() or 1)
_COMPUTING: Final = (
    "llvmlite", "numba", "numpy", "pillow", "pycocotools", "scikit-learn", "scipy", "timm", "torch", "torchvision",
    "transformers",
)  # fmt: skip
"""Packages that a number can depend on."""
_NOT_COMPUTING: Final = ("__main__.py", "analysis", "cli", "golden", "rtl", "sweep")
"""Parts of ptqsim that can't change what the others compute; a part that isn't named here counts.

In a wheel, ``analysis`` is one of them.
"""


def text(content: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


def value(content: object) -> str:
    """SHA-256 of a value made of JSON's types, whatever the order of the keys of its mappings.

    Raises
    ------
    TypeError
        For a value that JSON doesn't have, and for mappings with keys that aren't strings, as JSON takes 1 for "1".
    """
    _check_keys(content)
    return text(json.dumps(content, sort_keys=True, separators=(",", ":")))


def data(array: NDArray[Any]) -> str:
    """SHA-256 of an array's bytes, whatever its shape and type."""
    return hashlib.sha256(np.asarray(array, order="C").reshape(-1).view(np.uint8).data).hexdigest()


def file(path: Path) -> str:
    """SHA-256 of a file's bytes, read piece by piece."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def files(root: Path, names: Sequence[str]) -> str:
    """SHA-256 of files: their names relative to ``root``, in the given order, and their contents.

    Links are followed, as by whoever reads the files.

    Parameters
    ----------
    root : Path
    names : sequence of str
        With ``/`` between folders.

    Raises
    ------
    OSError
        Where a file can't be read.
    """
    digest = hashlib.sha256()
    with ThreadPoolExecutor(_THREADS) as pool:
        for name, content in zip(names, pool.map(lambda name: file(root / name), names), strict=True):
            digest.update(os.fsencode(name) + b"\0" + content.encode() + b"\n")
    return digest.hexdigest()


def folder(root: Path, pattern: str = "*") -> str:
    """SHA-256 of all files below a folder whose name fits a pattern: relative names, in their order, and contents.

    Raises
    ------
    FileNotFoundError
        Where no file fits: a folder that was moved must not look like one that never changes.
    """
    return files(root, _below(root, pattern))


def arrays(named: Iterable[tuple[str, NDArray[Any]]]) -> str:
    """SHA-256 of named arrays, in the order of their names: names, data types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, array in sorted(named, key=lambda item: item[0]):
        values = np.asarray(array, order="C")
        digest.update(f"{name}:{values.dtype.str}:{values.shape};".encode())
        digest.update(values.reshape(-1).view(np.uint8).data)  # its bytes, without a copy
    return digest.hexdigest()


def sources(root: Path, names: Iterable[str]) -> str:
    """SHA-256 of Python modules below ``root``: their names and their syntax.

    Comments and docstrings are left out, as no result becomes obsolete by them.

    Parameters
    ----------
    root : Path
    names : iterable of str
        Files, and folders that stand for all modules below them.

    Raises
    ------
    FileNotFoundError
        Where a file isn't there, or a folder has no modules.
    """
    found: list[str] = []
    for name in sorted(names):
        place = root / name
        found += [f"{name}/{below}" for below in _below(place, "*.py")] if place.is_dir() else [name]
    digest = hashlib.sha256()
    for name in found:
        tree = _Bare().visit(ast.parse((root / name).read_text(encoding="utf-8")))
        digest.update(f"{name}\0{ast.dump(tree)}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def packages(names: Iterable[str] = _COMPUTING) -> str:
    """SHA-256 of Python's version and those of packages; one that isn't installed counts as that."""
    asked = list(names)
    return value(
        {"python": ".".join(platform.python_version_tuple()[:2])} | dict.fromkeys(asked, "") | installed.versions(asked)
    )


@cache
def arithmetic() -> str:
    """SHA-256 of the code of ptqsim that a number can depend on, and of the packages that it computes with."""
    root = Path(__file__).parents[1]
    parts = [
        entry.name
        for entry in root.iterdir()
        if entry.name not in _NOT_COMPUTING and (entry.suffix == ".py" or (entry.is_dir() and any(entry.rglob("*.py"))))
    ]
    return text(sources(root, parts) + packages())


def _below(root: Path, pattern: str) -> list[str]:
    found = sorted(path.relative_to(root).as_posix() for path in root.rglob(pattern) if path.is_file())
    if not found:
        raise FileNotFoundError(f"{root} has no file {pattern}: nothing to take a fingerprint of")
    return found


def _check_keys(content: object) -> None:
    if isinstance(content, Mapping):
        for key, inner in content.items():
            if not isinstance(key, str):
                raise TypeError(f"a fingerprint was asked of a mapping with key {key!r}; legal are strings")
            _check_keys(inner)
    elif isinstance(content, list | tuple):
        for inner in content:
            _check_keys(inner)


class _Bare(ast.NodeTransformer):
    """Takes texts that stand alone out of a tree: docstrings, and those below attributes."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return ast.Pass()
        return node
