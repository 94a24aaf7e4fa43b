"""Columns of a table as a page takes them: categories as codes into a list, numbers as typed arrays, in base 64."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_MOST_CATEGORIES: Final = 4096
Cell = str | int | float | None


def packed(name: str, label: str, cells: Sequence[Cell]) -> dict[str, Any]:
    """A column.

    Parameters
    ----------
    name, label : str
        What the page calls it, and what it shows.
    cells : sequence
        None is an empty cell.  Numbers of very many values become float64, and everything else codes.
    """
    distinct = {cell: code for code, cell in enumerate(dict.fromkeys(cells))}
    numbers = all(cell is None or isinstance(cell, int | float) for cell in distinct)
    width = 2 + max([len(label), *(len(_shown(cell)) for cell in list(distinct)[:1000])])
    about = {"name": name, "label": label, "width": width}
    if numbers and len(distinct) > _MOST_CATEGORIES:
        values = np.array([np.nan if cell is None else cell for cell in cells], np.float64)
        return {**about, "kind": "number", "type": "f8", "data": _base64(values)}
    kind = next(kind for kind in (np.uint8, np.uint16, np.uint32) if len(distinct) <= np.iinfo(kind).max + 1)
    codes = np.fromiter((distinct[cell] for cell in cells), kind, len(cells))
    return {
        **about,
        "kind": "category",
        "type": f"u{codes.itemsize}",
        "values": list(distinct),
        "data": _base64(codes),
    }


def packed_rows(
    columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]], errors: Mapping[int, str]
) -> dict[str, Any]:
    """Rows with a hexadecimal ``key``; columns that are empty everywhere are left out.

    Parameters
    ----------
    columns : mapping
        Name and label.
    rows : sequence of mappings
    errors : mapping
        Of the rows that failed, by their number.
    """
    made = [packed(name, label, [row.get(name) for row in rows]) for name, label in columns.items()]
    keys = b"".join(bytes.fromhex(row["key"]) for row in rows)
    return {
        "length": len(rows),
        "columns": [column for column in made if column.get("values") != [None]],
        "keys": b64encode(keys).decode(),
        "key_size": len(keys) // len(rows) if rows else 0,
        "errors": dict(errors),
    }


def _base64(values: NDArray[Any]) -> str:
    """Little-endian, as every browser has it."""
    return b64encode(values.astype(values.dtype.newbyteorder("<")).tobytes()).decode()


def _shown(cell: Cell) -> str:
    return "" if cell is None else f"{cell:.6g}" if isinstance(cell, float) else str(cell)
