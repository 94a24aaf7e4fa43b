"""Golden vectors of integer units, for ``ptqsim vectors --unit``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ptqsim.cli.findings import show_findings
from ptqsim.cli.framework.options import load_calibrated, plan_of
from ptqsim.cli.framework.output import Output
from ptqsim.common import fingerprint
from ptqsim.errors import unknown_name
from ptqsim.golden.layout import MANIFEST
from ptqsim.golden.of_units import UnitVectors, check_unit, compute_unit, rows_for, write_unit
from ptqsim.golden.of_units.files import SCHEMA
from ptqsim.units import UNITS
from ptqsim.units.errors_of_units.comparison import Setting, compare

_ROWS: Final = 64


def are_there(directory: Path) -> bool:
    """True if a directory has a manifest of a unit's vectors."""
    try:
        claimed = json.loads((directory / MANIFEST).read_bytes())
        return bool(claimed["schema"] == SCHEMA)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write(
    name: str,
    directory: Path,
    out: Output,
    prefix: str,
    calibrated: Path | None,
    group: int,
    rows: int | None,
    data: str,
    images: int,
    seed: int,
) -> None:
    """Write the vectors of a formulation, or of a unit of a calibrated model."""
    if calibrated is None:
        if name not in UNITS:
            raise unknown_name("unit", name, UNITS)
        unit = next(one.unit for one in compare(Setting()) if one.unit.kind == name)
        inputs: tuple[Any, ...] = rows_for(unit, rows or _ROWS, seed=seed)
        source: dict[str, Any] = {"kind": "rows", "seed": seed}
    else:
        from ptqsim import ptq

        quantized = load_calibrated(calibrated)
        plan, dataset = plan_of(quantized, calibrated), ptq.load_data(data, quantized.model)
        pixels = ptq.as_pixels(ptq.sample_images(dataset, images, seed), plan.mean, plan.std)
        unit, every = ptq.record_rows(quantized, pixels, name, group)
        inputs = tuple(one[: rows or _ROWS] for one in every)
        source = {
            "kind": "unit",
            "calibrated": calibrated.name,
            "calibrated_sha256": fingerprint.file(calibrated),
            "unit": name,
            "group": group,
            "data": dataset.name,
            "data_fingerprint": dataset.fingerprint_of(ptq.sample_indices(dataset, images, seed)),
            "images": images,
            "seed": seed,
        }
    with out.progress("reference", "row") as report:
        found = compute_unit(unit, *inputs, progress=report)
    written = write_unit(found, directory, source, prefix)
    _show(out, found, f"golden vectors of {name} in {directory}")
    out.result({"output": directory, "files": [path.name for path in written], **_summary(found)})


def check(directory: Path, out: Output) -> None:
    """Recompute what a directory holds; exit status 1 at any mismatch."""
    with out.progress("recomputing", "row") as report:
        result = check_unit(directory, report)
    if result.vectors is not None:
        _show(out, result.vectors, f"recomputed from {directory}")
    show_findings(out, directory, result.findings, {} if result.vectors is None else _summary(result.vectors))


def _show(out: Output, found: UnitVectors, title: str) -> None:
    rows = [
        (one.name, str(list(one.shape)), one.bits, "two's complement" if one.signed else "plain binary")
        for one in found.words()
    ]
    out.table(["what", "shape", "bits", "how"], rows, title=title)


def _summary(found: UnitVectors) -> Mapping[str, object]:
    return {"unit": found.unit.to_dict(), "rows": len(found.inputs[0]), "outputs": found.values["code"].size}
