"""The version of the code that computes a result, which is part of the result's key."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

import ptqsim

# What a number can depend on: the library's arithmetic (its command line can't change one), and what computes.
_ARITHMETIC: Final = ("formats", "datapath", "kernels", "gemm", "ptq")
_OWN: Final = ("sweep/work/measure.py", "sweep/work/sources.py")
_PACKAGES: Final = ("numba", "numpy", "timm", "torch")


@cache
def arithmetic_version() -> str:
    """SHA-256 of the library's arithmetic and of the versions of the packages that compute."""
    root = Path(ptqsim.__file__).parent
    return fingerprint(root, [file for part in _ARITHMETIC for file in (root / part).rglob("*.py")], _PACKAGES)


@cache
def code_version() -> str:
    """SHA-256 of all code that a point of a study depends on."""
    root = Path(ptqsim.__file__).parent
    return arithmetic_version() + fingerprint(root, [root / name for name in _OWN])


def fingerprint(root: Path, files: Iterable[Path], packages: Iterable[str] = ()) -> str:
    """SHA-256 of some modules below a folder and of the versions of some packages.

    Of the modules the syntax tree counts, without docstrings: a comment makes no result obsolete.
    """
    found = hashlib.sha256(" ".join(f"{package} {version(package)}" for package in packages).encode())
    for file in sorted(files):
        tree = _Bare().visit(ast.parse(file.read_text(encoding="utf-8")))
        found.update(f"\0{file.relative_to(root).as_posix()}\0{ast.dump(tree)}".encode())
    return found.hexdigest()


class _Bare(ast.NodeTransformer):
    """Takes texts that stand alone out of a tree: docstrings, and those below attributes."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return ast.Pass()
        return node
