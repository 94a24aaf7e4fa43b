"""Safetensors files of PyTorch checkpoints, without unpickling anything in this process."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ptqsim.common import files
from ptqsim.errors import ArgumentTypeError, ToolTimeoutError
from ptqsim.ptq.files.tensors import PICKLED, begins_as_pickle, begins_as_tensors, open_tensors
from ptqsim.ptq.zoo.weights import shard_names

INDEX: Final = ".bin.index.json"
"""End of the name of a file that says in which files the tensors of a sharded checkpoint are, as in the hubs."""

_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
"""Variables that the reading process gets: no proxies, no keys, and none that changes what torch or Python do."""


@dataclass(frozen=True)
class Conversion:
    """The tensors of a checkpoint, and what became of the rest.

    Attributes
    ----------
    output : Path or None
        The safetensors file.
    sources : list of dict
        ``name`` and ``sha256`` of the files that were read; also in the metadata of the output, under
        ``ptqsim.convert``.
    key : str
        Of the dictionary that was taken, keys joined by dots; empty for the outermost.
    entries : list of dict
        All dictionaries of tensors: ``key``, ``tensors``, ``values`` and ``types``.
    tensors : dict
        Type and shape by name, as in the output.
    prefixes : list of str
        What was taken off the names, in this order.
    shared : list of list of str
        Names of tensors that shared memory, and are written out each.
    left_out : dict of str to str
        Kinds of the entries that were left out, by key.
    network : str
        ``namespace`` if the process that read the file had a network namespace of its own; ``guard`` where there are
        none, and its sockets were only fenced off.
    """

    output: Path | None
    sources: list[dict[str, str]]
    key: str
    entries: list[dict[str, Any]]
    tensors: dict[str, tuple[str, tuple[int, ...]]]
    prefixes: list[str]
    shared: list[list[str]]
    left_out: dict[str, str]
    network: str

    @property
    def summary(self) -> list[tuple[str, str, str, int]]:
        """Names with ``*`` for numbers, shape and type of tensors, and how many there are of each."""
        counts: dict[tuple[str, str, str], int] = {}
        for name, (kind, shape) in self.tensors.items():
            row = re.sub(r"(?<![^.])[0-9]+(?![^.])", "*", name), "x".join(map(str, shape)) or "scalar", kind
            counts[row] = counts.get(row, 0) + 1
        return [(*row, count) for row, count in counts.items()]


def convert(
    source: str | Path,
    output: str | Path | None = None,
    *,
    key: str | None = None,
    ema: bool = False,
    prefix: str | None = None,
    strip: bool = True,
    timeout: float = 600.0,
) -> Conversion:
    """Make a safetensors file of a PyTorch checkpoint (``.pth``, ``.pt``, ``.bin``), or say what it holds.

    The checkpoint is read in a process of its own, by ``torch.load(weights_only=True)`` and without the network; one
    that would have to run anything to be unpickled is refused.  Tensors keep their types.

    Parameters
    ----------
    source : path
        The checkpoint, or the index (``.bin.index.json``) of one in several files.
    output : path, optional
        The file to write; without it nothing is written.
    key : str, optional
        The dictionary to take, such as ``"teacher"`` or ``"model.net"``; by default that under the usual keys
        (``state_dict``, ``model``, ...), or the only one.
    ema : bool
        Take the averaged weights (``state_dict_ema``, ``model_ema``, ``ema``, ...).
    prefix : str, optional
        Take the tensors whose names begin so, without that beginning, and no others.
    strip : bool
        Take ``module.``, ``model.``, ``backbone.`` and ``_orig_mod.`` off the names where all have them.
    timeout : float
        Seconds after which the reading process is given up.

    Raises
    ------
    TypeError, ValueError
        For what is no PyTorch checkpoint, one that is damaged or would run code, and one without the dictionary asked
        for; in one line.
    FileNotFoundError
        Where there is no such file.
    ToolTimeoutError
        After the time limit.
    """
    path = Path(source)
    place = None if output is None else Path(output)
    if key is not None and ema:
        raise ValueError("both a key and averaged weights were asked for: name the key of the averaged ones")
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise ArgumentTypeError(f"timeout is {timeout!r}; legal is a number of seconds above 0")
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout:g}; legal is a number of seconds above 0")
    sources = _sources(path)
    if place is not None and any(os.path.realpath(place) == os.path.realpath(one) for one in [path, *sources]):
        raise ValueError(f"{place} is the checkpoint itself, which the output would replace: name another file")
    request = {"sources": [os.path.realpath(one) for one in sources], "key": key, "ema": ema}
    request |= {"prefix": prefix, "strip": strip, "path": sys.path, "output": None}
    if place is None:
        return _conversion(None, _answer(path, request, timeout))
    with tempfile.TemporaryDirectory(prefix=".ptqsim-convert-", dir=_nearest_folder(place)) as folder:
        made = Path(folder) / "tensors.safetensors"
        found = _conversion(place, _answer(path, request | {"output": str(made)}, timeout))
        _check(made, found)
        with made.open("rb") as tensors, files.replacing(place) as file:
            shutil.copyfileobj(tensors, file, 2**24)
    return found


def _sources(path: Path) -> list[Path]:
    """The files of a checkpoint, each known by its first bytes to be a pickle."""
    found = [path.parent / name for name in shard_names(path)[1]] if path.name.endswith(INDEX) else [path]
    for one in found:
        if one.is_dir():
            raise IsADirectoryError(f"{one} is a folder; legal is a PyTorch checkpoint in a file")
        if not one.exists():
            raise FileNotFoundError(f"there is no checkpoint at {one}: name an existing file ({', '.join(PICKLED)})")
        if not one.is_file():
            raise ValueError(f"{one} is a device, a pipe or a socket; legal is a PyTorch checkpoint in a file")
        if begins_as_tensors(one):
            raise ValueError(f"{one} is a safetensors file already: name it as it is (--checkpoint {one})")
        if not begins_as_pickle(one):
            what = "is empty" if one.stat().st_size == 0 else "begins with neither a zip archive nor a pickle"
            raise ValueError(
                f"{one} is no PyTorch checkpoint ({what}): fetch the file itself, not a page or pointer to it"
            )
    return found


def _nearest_folder(place: Path) -> Path:
    folder = Path(os.path.realpath(place)).parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def _answer(path: Path, request: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    """The answer of the reading process; a refusal, or its death, is a ValueError."""
    reader = Path(__file__).with_name("reader.py")
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-I", "-X", "utf8", str(reader)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    try:
        written, errors = process.communicate(json.dumps(request).encode("ascii"), timeout)
    except subprocess.TimeoutExpired:
        raise ToolTimeoutError(
            f"{path} was given up after {timeout:g} s of reading: give it more (--timeout)"
        ) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        raise ValueError(
            f"{path} can't be read: its reader was ended by {name}, as when memory is short or a file changes"
        )
    if process.returncode or not written:
        last = errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise ValueError(f"{path} can't be read ({last or f'status {process.returncode}'}): it may be damaged")
    answer: dict[str, Any] = json.loads(written)
    if "refused" in answer:
        raise ValueError(f"{path} {answer['refused']}")
    return answer


def _conversion(output: Path | None, answer: Mapping[str, Any]) -> Conversion:
    tensors = {name: (kind, tuple(shape)) for name, (kind, shape) in answer["tensors"].items()}
    names = ("sources", "key", "entries", "prefixes", "shared", "left_out", "network")
    return Conversion(output=output, tensors=tensors, **{name: answer[name] for name in names})


def _check(made: Path, found: Conversion) -> None:
    """Refuse a file that has not the tensors that were answered."""
    with open_tensors(made) as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict
    if shapes != {name: shape for name, (_, shape) in found.tensors.items()}:
        raise ValueError("the file that was made has other tensors than were read: convert it anew")
