"""Read golden vectors of a unit back, and recompute what they claim."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ptqsim.common.progress import Progress, silent
from ptqsim.golden import archive
from ptqsim.golden.checking import Finding
from ptqsim.golden.folder import manifest_text
from ptqsim.golden.layout import ARCHIVE, MANIFEST, checked_name
from ptqsim.golden.of_units import files
from ptqsim.golden.of_units.stimuli import rows_for
from ptqsim.golden.of_units.vectors import UnitVectors, compute_unit
from ptqsim.units import from_dict

_MOST_LINES: Final = 5
"""Lines of a file that are reported: the first that differ tell what happened."""


@dataclass(frozen=True, slots=True)
class UnitReport:
    """Everything that is wrong, and what was recomputed (None if the files did not allow it)."""

    findings: list[Finding]
    vectors: UnitVectors | None

    @property
    def ok(self) -> bool:
        """True if nothing is wrong."""
        return not self.findings


def check_unit(directory: str | Path, progress: Progress = silent) -> UnitReport:
    """Verify what `write_unit` wrote: every file, byte for byte, against a recomputation by the reference.

    The unit is that of the manifest, the inputs are those of the npz, and also those of the seed where rows were drawn.

    Parameters
    ----------
    directory : str or Path
        A directory with a manifest.
    progress : Progress, optional
        Called with the rows recomputed and all rows.

    Raises
    ------
    ValueError
        If there is no manifest in it.
    """
    folder = Path(directory)
    text = manifest_text(folder)
    findings: list[Finding] = []
    try:
        claimed = json.loads(text)
        vectors, expected = _recomputed(folder, claimed, findings, progress)
    except _ArchiveError as error:
        return UnitReport([*findings, Finding(ARCHIVE, None, str(error))], None)
    except json.JSONDecodeError as error:
        return UnitReport([Finding(MANIFEST, error.lineno, f"is no JSON: {error.msg}")], None)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        return UnitReport([*findings, Finding(MANIFEST, None, f"describes no golden vectors of a unit: {what}")], None)
    for file, data in expected.items():
        path = folder / file
        if not path.is_file():
            findings.append(Finding(file, None, "is missing"))
        elif path.read_bytes() != data:
            findings += _differences(file, path.read_bytes(), data)
    return UnitReport(findings, vectors)


class _ArchiveError(Exception):
    """The archive of arrays can't be read; the message says why."""


def _recomputed(
    folder: Path, claimed: Any, findings: list[Finding], progress: Progress
) -> tuple[UnitVectors, Mapping[str, bytes]]:
    """The vectors anew, and the files that they have."""
    if claimed["schema"] != files.SCHEMA:
        raise ValueError(f"schema {claimed['schema']!r}, and this ptqsim reads {files.SCHEMA!r}")
    unit, source = from_dict(claimed["unit"]), dict(claimed["source"])
    if not (folder / ARCHIVE).is_file():
        raise _ArchiveError("is missing")
    try:
        arrays = archive.read((folder / ARCHIVE).read_bytes())
    except ValueError as error:
        raise _ArchiveError(str(error)) from None
    try:
        inputs = [arrays[one.name] for one in unit.inputs]
    except KeyError as error:
        raise _ArchiveError(f"holds no array {error.args[0]!r}") from None
    if source.get("kind") == "rows":
        rows, *length = inputs[0].shape
        made = rows_for(unit, rows, length[0] if length else None, source["seed"])
        for one, found, again in zip(unit.inputs, inputs, made, strict=True):
            if found.tolist() != again.tolist():
                what = f"{one.name} is not what seed {source['seed']} gives"
                findings.append(Finding(ARCHIVE, None, what))
    vectors = compute_unit(unit, *inputs, progress=progress)
    return vectors, files.render(vectors, checked_name(claimed["name"]), source, claimed["versions"])


def _differences(file: str, found: bytes, expected: bytes) -> list[Finding]:
    """The first lines that differ; of a binary file only that it does."""
    if file == ARCHIVE:
        return [Finding(file, None, "has other arrays than a recomputation from its own inputs")]
    lines, wanted = (data.decode("utf-8", "replace").split("\n") for data in (found, expected))
    differ = [i for i, (x, y) in enumerate(zip(lines, wanted, strict=False)) if x != y]
    made = [Finding(file, i + 1, f"{_short(lines[i])}, expected {_short(wanted[i])}") for i in differ[:_MOST_LINES]]
    if len(lines) != len(wanted):
        made.append(Finding(file, min(len(lines), len(wanted)), f"has {len(lines)} lines, expected {len(wanted)}"))
    return made or [Finding(file, None, "differs in bytes that are no text")]


def _short(line: str) -> str:
    text = line.strip()
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
