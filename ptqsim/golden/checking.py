"""Read golden vectors back, compare the files with each other, and recompute what they claim."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from ptqsim.common.progress import Progress, silent
from ptqsim.datapath.spec import Accumulator
from ptqsim.formats import registry
from ptqsim.formats.array import QuantizedArray
from ptqsim.golden import archive, block_vectors, header, hexfile, manifest
from ptqsim.golden.block_vectors import BlockVectors
from ptqsim.golden.folder import manifest_text
from ptqsim.golden.layout import ARCHIVE, HEADER, MANIFEST, checked_name, files, words
from ptqsim.golden.stimuli import stimulus
from ptqsim.golden.text import Located, UnreadableError
from ptqsim.golden.vectors import TRACE_COLUMNS, GoldenVectors, compute

_MOST_LINES: Final = 10
"""Lines of a manifest that are reported: the first that differ tell what happened."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: the file, the line in it where it has lines, and the values."""

    file: str
    line: int | None
    what: str

    def __str__(self) -> str:
        return f"{self.file}{'' if self.line is None else f':{self.line}'}: {self.what}"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Everything that is wrong, and what was recomputed (None if the files did not allow it)."""

    findings: list[Finding]
    vectors: GoldenVectors | None
    blocks: BlockVectors | None = None

    @property
    def ok(self) -> bool:
        """True if nothing is wrong."""
        return not self.findings


def check(directory: str | Path, progress: Progress = silent) -> CheckReport:
    """Verify what `write` wrote.

    Files against their digests; the codes in hex files and header against those of the npz (and against the seed, if
    they were made from one); accumulators, event and trace of every file, macros and manifest against a recomputation
    by the reference in Python integers.

    Parameters
    ----------
    directory : str or Path
        A directory with a manifest.
    progress : Progress, optional
        Called with the outputs recomputed and all outputs.

    Raises
    ------
    ValueError
        If there is no manifest in it.
    """
    folder = Path(directory)
    text = manifest_text(folder)
    findings: list[Finding] = []
    if block_vectors.SCHEMA in text:
        wrong, of_blocks = block_vectors.check_block_files(folder, text, progress)
        return CheckReport([Finding(*each) for each in wrong], None, of_blocks)
    try:
        claimed = json.loads(text)
        vectors, name = _recomputed(folder, claimed, findings, progress)
    except json.JSONDecodeError as error:
        return CheckReport([Finding(MANIFEST, error.lineno, f"is no JSON: {error.msg}")], None)
    except _NpzError as error:
        return CheckReport([*findings, Finding(ARCHIVE, None, str(error))], None)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        return CheckReport([*findings, Finding(MANIFEST, None, f"describes no golden vectors: {what}")], None)
    digests = _digests(folder, claimed.get("files"), files(vectors), findings)
    _hex_files(folder, vectors, findings)
    _header(folder, vectors, name, findings)
    _npz(folder, vectors, findings)
    expected = manifest.document(vectors, name, claimed["source"], claimed["versions"], digests)
    _manifest(text, manifest.render(expected), findings)
    return CheckReport(findings, vectors)


class _NpzError(ValueError):
    """The npz cannot be the source of the codes."""


def _recomputed(folder: Path, claimed: Any, findings: list[Finding], progress: Progress) -> tuple[GoldenVectors, str]:
    """The vectors anew, from the codes in the npz and the datapath in the manifest."""
    if claimed["schema"] != manifest.SCHEMA:
        raise ValueError(f"schema {claimed['schema']!r}, and this ptqsim reads {manifest.SCHEMA!r}")
    name = checked_name(claimed["name"])
    accumulator = Accumulator.from_dict(claimed["accumulator"])
    formats = [registry.from_dict(claimed[side]["format"]) for side in ("a", "b")]
    source: Mapping[str, Any] = dict(claimed["source"])
    dict(claimed["versions"])
    try:
        arrays = archive.read((folder / ARCHIVE).read_bytes())
        a, b = (QuantizedArray(arrays[side], fmt) for side, fmt in zip(("a", "b"), formats, strict=True))
    except FileNotFoundError:
        raise _NpzError("is missing") from None
    except KeyError as error:
        raise _NpzError(f"holds no array {error.args[0]!r}") from None
    except (ValueError, TypeError) as error:
        raise _NpzError(str(error)) from None
    if source.get("kind") == "stimulus":
        made = stimulus(a.format, b.format, a.shape[-2], a.shape[-1], b.shape[-1], source["pattern"], source["seed"])
        for side, found, again in zip(("a", "b"), (a, b), made, strict=True):
            _same_array(side, found.codes, again.codes, f"by pattern and seed {source['seed']}", findings)
    return compute(a, b, accumulator, claimed["trace"]["element"], progress), name


def _digests(folder: Path, claimed: Any, expected: Sequence[str], findings: list[Finding]) -> dict[str, str]:
    """The files against their digests; those of the files as they should be listed."""
    listed = claimed if isinstance(claimed, dict) else {}
    for file in expected:
        path = folder / file
        if not path.is_file():
            findings.append(Finding(file, None, "is missing"))
            continue
        found = manifest.digest(path.read_bytes())
        if file in listed and found != listed[file]:
            findings.append(Finding(file, None, f"has the SHA-256 {found}, and {listed[file]} in {MANIFEST}"))
    if "acc.hex" not in expected and (folder / "acc.hex").exists():
        findings.append(Finding("acc.hex", None, "is there, and the datapath traps"))
    return {file: listed.get(file, "missing") for file in expected}


def _hex_files(folder: Path, vectors: GoldenVectors, findings: list[Finding]) -> None:
    for quantity in words(vectors):
        bits = quantity.bits
        expected = [value & ((1 << bits) - 1) for value in quantity.values]
        found = _reader(partial(hexfile.read, bits=bits))(folder, quantity.file, findings)
        if found is not None:
            _same(quantity.file, quantity.name, quantity.shape, expected, found, findings, base=16)
    found = _reader(hexfile.read_trace)(folder, "trace.hex", findings)
    if found is not None:
        _same("trace.hex", "trace", vectors.trace.shape, vectors.trace.ravel().tolist(), found, findings)


def _header(folder: Path, vectors: GoldenVectors, name: str, findings: list[Finding]) -> None:
    found = _reader(header.read)(folder, HEADER, findings)
    if found is None:
        return
    macros = {key: value for key, (value, _) in header.macros(vectors, name).items()}
    guard = f"{name.upper()}_VECTORS_H"
    for key, (line, value) in found.macros.items():
        if key not in macros and (key, value) != (guard, ""):
            findings.append(Finding(HEADER, line, f"{key} is no macro of these vectors"))
        elif key in macros and value != macros[key]:
            findings.append(Finding(HEADER, line, f"{key} is {value}, expected {macros[key]}"))
    findings += [Finding(HEADER, None, f"{key} is missing") for key in macros if key not in found.macros]
    expected = header.arrays(vectors, name)
    for key, array in found.arrays.items():
        if key not in expected:
            findings.append(Finding(HEADER, array.line, f"{key} is no array of these vectors"))
    for key, (declaration, rows) in expected.items():
        if key not in found.arrays:
            findings.append(Finding(HEADER, None, f"{key} is missing"))
            continue
        array = found.arrays[key]
        if array.declaration != declaration:
            findings.append(Finding(HEADER, array.line, f"{array.declaration!r}, expected {declaration!r}"))
        shapes = {quantity.name: quantity.shape for quantity in words(vectors)} | {"trace": vectors.trace.shape}
        shape = shapes[key.removeprefix(f"{name.lower()}_")]
        _same(HEADER, key, shape, [value for row in rows for value in row], array.values, findings)


def _npz(folder: Path, vectors: GoldenVectors, findings: list[Finding]) -> None:
    found, expected = archive.read((folder / ARCHIVE).read_bytes()), archive.arrays(vectors)
    for name in found.keys() | expected.keys():
        if name not in found:
            findings.append(Finding(ARCHIVE, None, f"holds no array {name!r}"))
        elif name not in expected:
            findings.append(Finding(ARCHIVE, None, f"the array {name!r} is none of these vectors"))
        else:
            _same_array(name, found[name], expected[name], "recomputed", findings)


def _manifest(found: str, expected: str, findings: list[Finding]) -> None:
    """Line by line, as it has one form only; what is wrong in the datapath itself shows in the other files."""
    lines, wanted = found.split("\n"), expected.split("\n")
    differ = [i for i, (x, y) in enumerate(zip(lines, wanted, strict=False)) if x != y]
    findings += [
        Finding(MANIFEST, i + 1, f"{lines[i].strip()!r}, expected {wanted[i].strip()!r}") for i in differ[:_MOST_LINES]
    ]
    if not differ and len(lines) != len(wanted):
        line = min(len(lines), len(wanted))
        findings.append(Finding(MANIFEST, line, f"has {len(lines)} lines, expected {len(wanted)}"))


def _reader(read: Callable[[str], Any]) -> Callable[[Path, str, list[Finding]], Any]:
    """`read` on a file; what is unreadable in it becomes a finding, and a file that is missing is one already."""

    def from_file(folder: Path, file: str, findings: list[Finding]) -> Any:
        if not (folder / file).is_file():
            return None
        try:
            return read((folder / file).read_bytes().decode("utf-8", "replace"))
        except UnreadableError as error:
            findings.append(Finding(file, error.line, str(error)))
            return None

    return from_file


def _same(
    file: str,
    name: str,
    shape: tuple[int, ...],
    expected: Sequence[int],
    found: Sequence[Located],
    findings: list[Finding],
    base: int = 10,
) -> None:
    """One finding at the first value that differs, with the number of those that do."""
    if len(found) != len(expected):
        line = found[min(len(found), len(expected)) - 1].line if found else 1
        findings.append(Finding(file, line, f"{name} has {len(found)} values, expected {len(expected)}"))
    differ = [i for i, (x, y) in enumerate(zip(found, expected, strict=False)) if x.value != y]
    if differ:
        first = differ[0]
        index = tuple(int(i) for i in np.unravel_index(first, shape))
        got, want = (f"{value:x}" if base == 16 else str(value) for value in (found[first].value, expected[first]))
        what = f"{name}{_indexed(name, index)} is {got}, expected {want}{_more(len(differ))}"
        findings.append(Finding(file, found[first].line, what))


def _same_array(name: str, found: Any, expected: Any, why: str, findings: list[Finding]) -> None:
    if found.dtype != expected.dtype or found.shape != expected.shape:
        what = f"{name} is {found.dtype} {found.shape}, expected {expected.dtype} {expected.shape} {why}"
        findings.append(Finding(ARCHIVE, None, what))
        return
    differ = np.argwhere(found != expected)
    if len(differ):
        index = tuple(int(i) for i in differ[0])
        what = f"{name}{_indexed(name, index)} is {found[index]}, expected {expected[index]} {why}{_more(len(differ))}"
        findings.append(Finding(ARCHIVE, None, what))


def _indexed(name: str, index: tuple[int, ...]) -> str:
    if name.endswith("trace"):
        return f"[{index[0]}].{TRACE_COLUMNS[index[1]]}"
    return str(list(index))


def _more(count: int) -> str:
    return f" (and {count - 1} more values differ)" if count > 1 else ""
