"""Counts of the integer units that come with the package are of the RTL that is generated today."""

from __future__ import annotations

import csv
import json
from hashlib import sha256
from importlib.resources import files

import pytest

from ptqsim.cli.framework.app import main
from ptqsim.rtl.synthesis import flow, kept
from ptqsim.rtl.synthesis.integer_units import UnitPoint, kept_units
from ptqsim.rtl.synthesis.sweep import RESOLUTION, sweep
from tests.rtl.needs import need


def table() -> list[dict[str, str]]:
    with (files("ptqsim.rtl.synthesis") / kept.UNITS_TABLE).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_row_is_of_the_rtl_of_today() -> None:
    rows, points, origin = table(), kept_units(), kept.origin(kept.UNITS_ORIGIN)
    assert len(rows) == len(points) == origin["points"]
    for row, point in zip(rows, points, strict=True):
        assert (row["unit"], row["formulation"], row["bits"]) == (point.unit, point.formulation, str(point.bits))
        module = point.module()
        found = kept.gates(module.name, flow.rtl_of(module))
        assert found is not None, f"{point}: the RTL has changed; ptqsim rtl synthesize all --anew"
        assert (found.transistors, found.depth) == (int(row["transistors"]), int(row["depth"]))
    text = (files("ptqsim.rtl.synthesis") / kept.UNITS_TABLE).read_text(encoding="utf-8")
    assert sha256(text.encode()).hexdigest() == origin["csv_sha256"]
    assert origin["flow"] == flow.FLOW


def test_a_count_is_reproduced() -> None:
    """Exactly by the version that it names, and within the resolution by another."""
    need("abc")
    point = UnitPoint("rescale", "tensor", 4)
    (cost,) = sweep([point], jobs=1, anew=True)
    (row,) = [one for one in table() if (one["unit"], one["bits"]) == ("rescale", "4")]
    assert cost.gates is not None
    tolerance = 0 if cost.gates.tool == kept.origin(kept.UNITS_ORIGIN)["tool"] else RESOLUTION
    assert cost.gates.transistors == pytest.approx(int(row["transistors"]), rel=tolerance)


def test_a_buffer_has_one_word() -> None:
    """Registers of a softmax do not depend on the length of a row but for counters and the sum."""
    module = UnitPoint("softmax", "table", 6).module()
    (buffer,) = [part for part in module.hierarchy() if part.name.endswith("_row")]
    assert "logic [17:0] row;" in buffer.body
    assert "row[" not in buffer.body


def test_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    need("abc")
    assert main(["rtl", "synthesize", "rescale", "--json"]) == 0
    points = json.loads(capsys.readouterr().out)["points"]
    assert [(one["point"]["unit"], one["point"]["bits"]) for one in points] == [("rescale", k) for k in (4, 6, 8)]
    assert main(["rtl", "synthesize", "sofmax"]) == 2
    assert "unknown unit 'sofmax'" in capsys.readouterr().err
