"""Safetensors files of any name: the library itself opens names in UTF-8 only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save


@contextmanager
def open_tensors(path: Path) -> Iterator[Any]:
    """Open a file as :func:`safetensors.safe_open` does."""
    with _name(path) as name, safe_open(name, framework="pt") as file:
        yield file


def load_tensors(path: Path, device: str = "cpu") -> dict[str, torch.Tensor]:
    """Read all tensors of a file as :func:`safetensors.torch.load_file` does."""
    with _name(path) as name:
        return load_file(name, device=device)


def tensor_bytes(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """A file of tensors, as :func:`safetensors.torch.save` writes it."""
    return save(dict(tensors))


@contextmanager
def _name(path: Path) -> Iterator[str]:
    """Give a name of the file that is in UTF-8."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:  # Python has other bytes as lone surrogates
        with path.open("rb") as file:
            yield f"/dev/fd/{file.fileno()}"
    else:
        yield os.fspath(path)
