"""The page around the data: one file, with the plotting library in it, that opens from disk without a network."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import Any, Final

from plotly.offline import get_plotlyjs

from ptqsim.common import strict_json

_SCRIPTS: Final = ("columns", "command", "table", "filters", "chart", "layers", "answers", "main")


def study_page(data: dict[str, Any], command: str) -> str:
    """The page of a study.

    Parameters
    ----------
    data : dict
        As `analysis.report.study_data.study_data` makes it.
    command : str
        What made the page.
    """
    scripts = "\n".join(asset(f"{name}.js") for name in _SCRIPTS)
    body = _BODY.format(
        name=escape(data["name"] or "study"), description=escape(data["description"]), state=escape(_state(data)),
        command=escape(command),
    )  # fmt: skip
    # "<" may not begin a tag inside a script
    document = strict_json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    tail = (
        f'<script type="application/json" id="data">{document}</script>\n'
        f"<script>{get_plotlyjs()}</script>\n<script>\n{scripts}</script>"
    )
    return page(f"{data['name']}: ptqsim report", body, tail)


def page(title: str, body: str, tail: str = "") -> str:
    """A whole HTML file."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f'<link rel="icon" href="data:,">\n<style>\n{asset("report.css")}</style>\n</head>\n'
        f"<body>\n{body}\n{tail}\n</body>\n</html>\n"
    )


def asset(name: str) -> str:
    """A file that goes into the page."""
    return files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def _state(data: dict[str, Any]) -> str:
    points, calibrations = data["counts"]["point"], data["counts"]["calibration"]
    parts = [f"{points['done']:,} of {points['planned']:,} points done", f"{calibrations['done']:,} calibrations"]
    parts += [f"{points[state]:,} {state}" for state in ("trapped", "failed", "missing") if points[state]]
    return ", ".join(parts)


_BODY: Final = """\
<a class="skip" href="#points">Skip to the table of points</a>
<header><h1>{name}</h1><p>{description}</p><p>{state}. Made by <code>{command}</code></p></header>
<main>
<form class="controls" onsubmit="return false" aria-label="What the chart shows">
<label>Cost <select id="x"></select></label>
<label>Result <select id="y"></select></label>
<label>Color <select id="color"></select></label>
<label>Top-1 at least <input id="least" type="number" step="0.1"></label>
<span id="count" role="status" aria-live="polite"></span>
</form>
<div class="main">
<details id="filter-box" open><summary>Filters</summary>
<div id="filters" role="group" aria-label="Filters by axis"></div></details>
<div id="chart" role="application" aria-label="Points and Pareto front; the arrow keys go along the front"></div>
<section id="chosen" aria-live="polite"><h2>Chosen point</h2>
<p>Click a point, or go along the front or through the table with the arrow keys.</p></section>
</div>
<div id="tip" hidden></div>
<section><h2>Points</h2><div id="points"></div></section>
<section id="answers"><h2>Answers to the study's questions</h2>
<p>The narrowest accumulator that loses no more top-1 than <i>within</i> points beside the exact one; a range of widths
is of all layers at once, each with its own.</p>
<div class="chart"></div><div class="grid" id="answer-table"></div></section>
<section id="layers"><h2>Widths that are safe for each layer</h2>
<p>By theorem for every input, as the sums needed on the evaluation images, and by the questions.</p>
<p><label>Calibration <select></select></label></p>
<div class="chart"></div><div class="grid"></div></section>
</main>"""
