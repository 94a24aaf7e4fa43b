"""A report of a folder that ``ptqsim figures`` and ``ptqsim tables`` have written: pictures, tables, commands."""

from __future__ import annotations

import csv
import json
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, Final

from ptqsim.common import strict_json

from .page import asset, page

_PICTURES: Final = ((".svg", "image/svg+xml"), (".png", "image/png"))
_MOST_ROWS: Final = 500


def gallery_page(folder: Path, command: str) -> str:
    """One section for every figure and table of a folder, and of the folders in it.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it holds no figure or table with its record.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}: make one with ptqsim figures --out {folder}")
    records = list(_records(folder))
    if not records:
        raise ValueError(f"{folder} holds no figures: make some with ptqsim figures --out {folder}")
    parts = [
        f"<header><h1>Figures and tables</h1><p>{len(records)} from <code>{escape(str(folder))}</code>, made by "
        f"<code>{escape(command)}</code></p></header>",
        "<nav aria-label='Contents'><ul>",
        *(f'<li><a href="#{escape(r["artifact"])}">{escape(r["title"])}</a></li>' for _, r in records),
        "</ul></nav><main>",
        *(_section(path, record) for path, record in records),
        "</main>",
    ]
    scripts = "\n".join(asset(f"{name}.js") for name in ("columns", "table", "gallery"))
    return page("ptqsim figures", "\n".join(parts), f"<script>\n{scripts}</script>")


def _records(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The records that lie beside figures and tables, with their paths."""
    for path in sorted(folder.rglob("*.json")):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError):
            continue
        if isinstance(record, dict) and {"artifact", "title", "command"} <= record.keys():
            yield path, record


def _section(path: Path, record: dict[str, Any]) -> str:
    name, title = escape(record["artifact"]), escape(record["title"])
    parts = [f'<section id="{name}"><h2>{title}</h2>']
    for suffix, kind in _PICTURES:
        picture = path.with_suffix(suffix)
        if picture.is_file():
            data = b64encode(picture.read_bytes()).decode()
            parts.append(f'<figure><img alt="{title}" src="data:{kind};base64,{data}"></figure>')
            break
    tables = sorted(path.parent.glob(f"{path.stem}*.csv"))
    parts += [_table(file) for file in tables if file.stem == path.stem or file.stem.startswith(f"{path.stem}.")]
    parts.append(
        f'<div class="command"><pre tabindex="0"><code>{escape(record["command"])}</code></pre>'
        '<button type="button" class="copy">Copy</button><span role="status"></span></div></section>'
    )
    return "\n".join(parts)


def _table(file: Path) -> str:
    """The data behind it, as a table that sorts."""
    with file.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.reader(opened))
    if not rows:
        return ""
    shown = rows[1 : _MOST_ROWS + 1]
    data = strict_json.dumps({"columns": rows[0], "rows": shown}).replace("<", "\\u003c")
    more = f" (the first {_MOST_ROWS} of {len(rows) - 1})" if len(rows) - 1 > _MOST_ROWS else ""
    return (
        f"<details><summary>{escape(file.name)}, {len(shown)} rows{more}</summary>"
        f'<script type="application/json">{data}</script>'
        f'<div class="grid" id="table-{escape(file.stem)}" data-label="{escape(file.name)}"></div></details>'
    )
