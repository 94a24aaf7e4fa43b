"""The counts that come with the package are of the RTL that is generated today, and of the tool that they name."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import pytest

from ptqsim.cli.framework.app import main
from ptqsim.rtl import tools
from ptqsim.rtl.synthesis import flow, kept, record
from ptqsim.rtl.synthesis.designs import COMBINATIONAL, DesignPoint
from ptqsim.rtl.synthesis.sweep import RESOLUTION, Cost, sweep
from tests.rtl.needs import need


def table() -> list[dict[str, str]]:
    with (files("ptqsim.rtl.synthesis") / kept.TABLE).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_row_is_of_the_rtl_of_today() -> None:
    rows, points = table(), record.kept_points()
    assert len(rows) == len(points) == kept.origin()["points"]
    for row, point in zip(rows, points, strict=True):
        assert [row[name] for name in ("design", "bits", "shift", "acc_bits", "overflow", "order")] == [
            point.design, str(point.bits), str(point.shift), str(point.acc_bits), point.overflow, point.order
        ]  # fmt: skip
        module = point.module()
        found = kept.gates(module.name, flow.rtl_of(module))
        assert found is not None, f"{point}: the RTL has changed; ptqsim rtl synthesize --kept --anew"
        assert (found.transistors, found.depth) == (int(row["transistors"]), int(row["depth"]))
    text = (files("ptqsim.rtl.synthesis") / kept.TABLE).read_text(encoding="utf-8")
    assert sha256(text.encode()).hexdigest() == kept.origin()["csv_sha256"]
    assert kept.origin()["flow"] == flow.FLOW


def test_counts_of_zero_points_and_requantizers() -> None:
    """Registers are where the datapath has some, and a multiplier in wires costs less than any other."""
    rows = {(row["design"], int(row["bits"])): row for row in table() if row["overflow"] == "wrap"}
    for bits in (4, 6, 8):
        for design in ("unsigned", "asymmetric_operand", "asymmetric_correction", "both_operand", "both_correction"):
            assert rows[design, bits]["flip_flops"] == rows[design, bits]["acc_bits"]
        largest = 64 * (2**bits - 1)  # of a sum along a row of unsigned codes
        assert int(rows["both_row", bits]["flip_flops"]) == largest.bit_length() + 1
        wired, fed, tabled = (rows[design, bits] for design in COMBINATIONAL)
        assert wired["flip_flops"] == fed["flip_flops"] == tabled["flip_flops"] == "0"
        assert int(wired["transistors"]) < min(int(fed["transistors"]), int(tabled["transistors"]))


def test_a_count_is_reproduced() -> None:
    """Exactly by the version that it names, and within the resolution by another."""
    need("abc")
    points = record.kept_points()[:200:66]
    for cost, row in zip(sweep(points, jobs=2, anew=True), table()[:200:66], strict=True):
        assert cost.gates is not None
        tolerance = 0 if cost.gates.tool == kept.origin()["tool"] else RESOLUTION
        assert cost.gates.transistors == pytest.approx(int(row["transistors"]), rel=tolerance)
        assert cost.gates.flip_flops == int(row["flip_flops"])


def test_they_stand_in_for_a_tool_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, purpose: str) -> tools.Tool:
        raise tools.MissingToolError(name, purpose)

    monkeypatch.setattr(tools, "find", absent)
    (cost,) = sweep([DesignPoint("gelu", 8, 4, 24)])
    assert cost.gates is not None
    assert cost.gates.tool == kept.origin()["tool"]
    with pytest.raises(tools.MissingToolError):
        sweep([DesignPoint("gelu", 9, 4, 24)])


def test_they_do_not_stand_in_for_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of two versions in one comparison would show a gap that is none."""
    other = tools.Tool("yosys", ("true",), "another Yosys")
    monkeypatch.setattr(tools, "find", lambda name, purpose: other)
    monkeypatch.setattr(tools.Tool, "run", lambda *_: "")
    (cost,) = sweep([DesignPoint("gelu", 8, 4, 24)])
    assert cost.gates is None


def test_a_sweep_as_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--designs", "uniform,gelu", "--overflow", "wrap,saturate", "--order", "sequential,tree:4"]
    need("abc")
    assert main(["rtl", "synthesize", *arguments, "-o", str(tmp_path / "made"), "--json"]) == 0
    points = json.loads(capsys.readouterr().out)["points"]
    assert len(points) == 8
    document = json.loads((tmp_path / "made" / kept.ORIGIN).read_text())
    assert str(tmp_path) not in document["command"]
    with (tmp_path / "made" / kept.TABLE).open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["transistors"]) for row in rows] == [one["gates"]["transistors"] for one in points]
    assert [row["order"] for row in rows] == [one["point"]["order"] for one in points]


def test_a_table_of_several_tools_is_refused(tmp_path: Path) -> None:
    need("abc")
    (cost,) = sweep([DesignPoint("uniform", 3, 1, 8)])
    assert cost.gates is not None
    other = Cost(cost.point, replace(cost.gates, tool="another Yosys"))
    with pytest.raises(ValueError, match="synthesize all --anew"):
        record.write([cost, other], tmp_path, "")
    with pytest.raises(ValueError, match="nothing is written: given up"):
        record.write([Cost(cost.point, None, "given up")], tmp_path, "")
