"""Safetensors files of any name: the library itself opens names in UTF-8 only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

PICKLED: Final = (".pth", ".pt", ".bin", ".ckpt", ".tar", ".pkl")
"""Ends of the names of PyTorch's own checkpoints."""


def begins_as_tensors(path: Path) -> bool:
    """True if a file begins as a safetensors file: with the length of a header, and the header's brace."""
    with path.open("rb") as file:
        first = file.read(9)
    return first[8:] == b"{" and int.from_bytes(first[:8], "little") <= path.stat().st_size


def begins_as_pickle(path: Path) -> bool:
    """True if a file begins as what ``torch.save`` writes: with that of a zip archive, or of a pickle."""
    with path.open("rb") as file:
        first = file.read(4)
    return first == b"PK\x03\x04" or (first[:1] == b"\x80" and first[1:2] <= b"\x05")


def refuse_pickle(path: Path) -> None:
    """Refuse a file that would have to be unpickled, with a ValueError that says what to do with it."""
    if begins_as_pickle(path) or (path.name.lower().endswith(PICKLED) and not begins_as_tensors(path)):
        made = path.with_suffix(".safetensors")
        raise ValueError(
            f"{path} is a PyTorch checkpoint or another pickle, which could run any code and is not unpickled: make a "
            f"safetensors file of it (ptqsim convert {path} -o {made})"
        )


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
