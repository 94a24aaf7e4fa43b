"""Results as tables for other programs: Parquet and CSV, one row per point, with its costs and its provenance."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ptqsim.common import files, strict_json
from ptqsim.sweep.results import costs, schema
from ptqsim.sweep.results.store import ResultStore
from ptqsim.sweep.study.definition import Study, resolved


def gates_of(study: Study, path: Path) -> costs.GateTable:
    """The gate counts that a study names, or those of the package; ``path`` is the study's."""
    if study.gates is None:
        return costs.kept_gates()
    return costs.read_gates(resolved(study.gates, path.resolve().parent))


def points(store: ResultStore, gates: costs.GateTable | None) -> list[dict[str, Any]]:
    """Every planned point that is there: its columns, its costs, and what it was made from and by."""
    calibrations = {row["key"]: row for row in store.rows("calibrations", planned=False)}

    @cache
    def made_by(number: int) -> dict[str, str]:
        found = store.provenance(number)
        return {
            name: strict_json.dumps(value) if isinstance(value, dict) else str(value) for name, value in found.items()
        }

    rows = []
    for row in store.rows("points"):
        about = made_by(row.pop("provenance"))
        cost = costs.costs(row, calibrations.get(row["calibration"]), gates)
        rows.append(row | cost | {f"made_{name}": value for name, value in about.items()})
    return rows


def write_csv(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write a CSV file; cells of several values are JSON."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _columns(rows))
    writer.writeheader()
    writer.writerows({name: _flat(value) for name, value in row.items()} for row in rows)
    files.write(path, text.getvalue())


def write_parquet(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write a Parquet file; columns keep their type also where they are empty."""
    import pyarrow as pa
    from pyarrow import parquet

    names = _columns(rows)
    types = {"INTEGER": pa.int64(), "REAL": pa.float64(), "TEXT": pa.string()}
    declared = schema.types("points") | dict.fromkeys(costs.COLUMNS, "REAL")
    fields = pa.schema([(name, types[declared.get(name, "TEXT").split()[0]]) for name in names])
    columns = [
        pa.array([_flat(row.get(name)) for row in rows], type=fields.field(name).type, from_pandas=False)
        for name in names
    ]
    with files.replacing(path) as file:
        parquet.write_table(pa.table(columns, schema=fields), file)


def _columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    if rows:
        return list(rows[0])
    return [name for name in schema.COLUMNS["points"] if name != "provenance"] + list(costs.COLUMNS)


def _flat(value: object) -> object:
    return strict_json.dumps(value) if isinstance(value, dict | list) else value
