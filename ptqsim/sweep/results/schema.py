"""The tables of a store, and which columns they have."""

from __future__ import annotations

from typing import Final

VERSION: Final = 6

_RESULT: Final = {
    "status": "TEXT NOT NULL",  # done, trapped or failed
    "error": "TEXT",
    "seconds": "REAL",
    "host": "TEXT",
    "process": "INTEGER",
    "finished": "TEXT",
    "provenance": "INTEGER",
}
_LAYOUT: Final = {"w_granularity": "TEXT", "a_symmetric": "INTEGER", "formats": "TEXT"}
_SCALE: Final = {"residual_scale": "TEXT"}
_UNITS: Final = {"residual_bits": "INTEGER", **_SCALE, "softmax": "TEXT", "gelu": "TEXT", "layer_norm": "TEXT"}
_CALIBRATION: Final = {
    "model": "TEXT NOT NULL",
    "method": "TEXT",
    "w_bits": "INTEGER",
    "a_bits": "INTEGER",
    "seed": "INTEGER",
    "calibration_images": "INTEGER",
    **_LAYOUT,
    **_UNITS,
}
_SHIFTS: Final = {"softmax_shift": "INTEGER", "gelu_shift": "INTEGER"}
_REGISTER: Final = {"overflow": "TEXT", "order": "TEXT", "alignment": "TEXT"}
_DIVERGENCE: Final = {"kl": "REAL", "kl_standard_error": "REAL", "agreement": "REAL"}
_KEY: Final = {"key": "TEXT PRIMARY KEY NOT NULL"}

_TABLES: Final[dict[str, dict[str, str]]] = {
    "calibrations": _KEY | _CALIBRATION | {"weight_bits": "INTEGER", "layers": "TEXT"} | _RESULT,
    "points": _KEY
    | {"calibration": "TEXT"}
    | _CALIBRATION
    | _SHIFTS
    | {"mode": "TEXT NOT NULL", "acc_bits": "INTEGER"}
    | _REGISTER
    | {"layer": "TEXT", "widths": "TEXT", "evaluation_images": "INTEGER NOT NULL"}
    | {"top1": "REAL", "cross_entropy": "REAL", **_DIVERGENCE, "logits_sha256": "TEXT", "observed": "TEXT"}
    | _RESULT,
    "answers": _KEY
    | {"calibration": "TEXT"}
    | _CALIBRATION
    | _SHIFTS
    | {"scope": "TEXT", "layer": "TEXT", "within": "REAL"}
    | _REGISTER
    | {"evaluation_images": "INTEGER", "exact_top1": "REAL", "acc_bits": "INTEGER", "top1": "REAL"}
    | {"top1_below": "REAL", "start_bits": "INTEGER", "probes": "TEXT", "widths": "TEXT"}
    | _RESULT,
}
_TABLES["parts"] = _KEY | {"point": "TEXT NOT NULL", "document": "TEXT NOT NULL"} | _RESULT
_ABOUT: Final = {
    "planned": {"kind": "TEXT NOT NULL", "key": "TEXT NOT NULL UNIQUE"},
    "studies": {"name": "TEXT NOT NULL", "text": "TEXT NOT NULL"},
    "provenance": {"id": "INTEGER PRIMARY KEY", "document": "TEXT NOT NULL UNIQUE"},
}
"""The tables that hold no results."""
COLUMNS: Final[dict[str, tuple[str, ...]]] = {table: tuple(columns) for table, columns in (_TABLES | _ABOUT).items()}
TABLE_OF: Final = {"calibration": "calibrations", "point": "points", "question": "answers"}
"""Table of each kind of planned work."""
DOCUMENTS: Final = frozenset({"layers", "widths", "observed", "probes", "document"})
"""Columns whose cells are JSON."""


def _create(table: str, columns: dict[str, str]) -> str:
    listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    return f"CREATE TABLE {table} ({listed});"


CREATE: Final = "\n".join(
    [
        "BEGIN;",
        *(_create(table, columns) for table, columns in (_TABLES | _ABOUT).items()),
        f"PRAGMA user_version = {VERSION};",
        "COMMIT;",
    ]
)


_WITH_UNITS: Final = dict.fromkeys(("calibrations", "points", "answers"), _UNITS)
_WITH_LAYOUT: Final = dict.fromkeys(_WITH_UNITS, _LAYOUT | _UNITS)
ADDED: Final[dict[int, dict[str, dict[str, str]]]] = {
    2: {**_WITH_LAYOUT, "points": _DIVERGENCE | _LAYOUT | _UNITS},
    3: _WITH_LAYOUT,
    4: _WITH_UNITS,
    5: dict.fromkeys(_WITH_UNITS, _SCALE),
}
"""Columns, by table, that stores of an earlier version have not; such a store can be read, and gets them if written."""


def upgrade(version: int) -> str:
    """Statements that turn a store of an earlier version into one of this."""
    added = [
        f"ALTER TABLE {table} ADD COLUMN {name} {kind};"
        for table, columns in ADDED[version].items()
        for name, kind in columns.items()
    ]
    return "\n".join(["BEGIN;", *added, f"PRAGMA user_version = {VERSION};", "COMMIT;"])


def types(table: str) -> dict[str, str]:
    """SQL type of every column."""
    return dict(_TABLES[table])
