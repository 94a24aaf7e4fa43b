"""Hardware of integer units: readable, accepted by every tool, on the command line, and refused where there is none."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import ptqsim as pq
from ptqsim import units
from ptqsim.cli.framework.app import main
from ptqsim.rtl import UnitHardware, tools
from ptqsim.rtl.units.standard import FORMULATIONS, standard_unit
from tests.rtl.needs import need
from tests.rtl.test_generate import lint
from tests.rtl.units.cases import CASES
from tests.rtl.units.test_exhaustive import NARROW

ALL = CASES | NARROW


def test_every_header_states_a_formula() -> None:
    for hardware in ALL.values():
        for part in hardware.module().hierarchy():
            header = part.render().partition("`default_nettype")[0]
            assert re.search(r"^//   \w.* = ", header, re.MULTILINE), header


def test_modules_are_short() -> None:
    for hardware in ALL.values():
        for part in hardware.module().hierarchy():
            text = part.render()
            assert len(text.split("\n")) < 250
            assert max(map(len, text.split("\n"))) <= 140


@pytest.mark.parametrize("tool", ["verilator", "iverilog", "yosys"])
def test_no_tool_warns(tool: str) -> None:
    need(tool)
    found = tools.find(tool, "to lint")
    chosen = list(CASES.values()) if tool != "yosys" else list(CASES.values())[::6]
    for hardware in chosen:
        assert lint(hardware.module(), found) == "", hardware


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["verilator", "iverilog", "yosys"])
@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("what", FORMULATIONS)
def test_no_tool_warns_of_a_wide_unit(tool: str, lanes: int, what: str) -> None:
    need(tool)
    for formulation in FORMULATIONS[what]:
        unit = standard_unit(what, formulation)
        hardware = UnitHardware(unit, lanes, 197 if formulation == "shift_gelu" else None, "baugh_wooley")
        assert lint(hardware.module(), tools.find(tool, "to lint")) == "", hardware


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["softmax", "--formulation", "shiftmax", "--lanes", "2", "--setting", "length=9,acc_bits=12"], "shiftmax"),
        (["layernorm", "--setting", "features=8,precision=6"], "layer_norm"),
        (["gelu", "--formulation", "i_gelu", "--setting", "acc_bits=12"], "i_gelu"),
        (["residual", "--setting", "acc_bits=12"], "residual_add"),
        (["rescale", "--formulation", "channel", "--setting", "features=5,acc_bits=12"], "rescale"),
    ],
)
def test_generate_and_simulate(
    arguments: list[str], kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("iverilog")
    given = [*arguments, "--json"]
    assert main(["rtl", "generate", *given, "-o", str(tmp_path)]) == 0
    manifest = json.loads((tmp_path / "design.json").read_text())
    assert manifest["tops"] == [f"ptqsim_{kind}"]
    assert units.from_dict(manifest["hardware"]["unit"]).kind == kind
    capsys.readouterr()
    assert main(["rtl", "simulate", *given, "--rows", "4", "--engine", "iverilog"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(row["engine"], row["differ"]) for row in shown["engines"]] == [("iverilog", 0)]


def test_a_unit_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit = units.Rescale.from_real(0.01, pq.Uniform(4, 0.2), acc_bits=8)
    (tmp_path / "unit.json").write_text(json.dumps(unit.to_dict()))
    place = str(tmp_path / "unit.json")
    assert main(["rtl", "generate", "--unit", place, "-o", str(tmp_path / "out"), "--json"]) == 0
    assert units.from_dict(json.loads(capsys.readouterr().out)["hardware"]["unit"]) == unit


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "sofmax", "-o", "x"], "unknown unit 'sofmax'"),
        (["generate", "softmax", "--formulation", "exact", "-o", "x"], "unknown formulation of softmax 'exact'"),
        (["generate", "softmax", "--setting", "bits=x", "-o", "x"], "try bits=8"),
        (["generate", "softmax", "--setting", "length=0", "-o", "x"], "--setting length=0: length must be an integer"),
        (["generate", "softmax", "--setting", "entries=0", "-o", "x"], "--setting entries=0: entries must be"),
        (["generate", "softmax", "--setting", "width=8", "-o", "x"], "legal are bits, shift"),
        (["generate", "gelu", "--division", "exact", "-o", "x"], "divides by no sum"),
        (["generate", "softmax", "--division", "reciprocal:x", "-o", "x"], "reciprocal:31"),
        (["generate", "--unit", "nowhere.json", "-o", "x"], "can't be read"),
        (["generate", "--unit", "nowhere.json", "--setting", "bits=8", "-o", "x"], "leave --formulation"),
        (["generate", "--formulation", "ita", "-o", "x"], "no integer unit was named"),
        (["simulate", "softmax", "--layer", "blocks.0"], "--layer belong to products"),
        (["simulate", "--division", "exact"], "no integer unit was named"),
    ],
)
def test_wrong_input(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rtl", *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("unit", "options", "message"),
    [
        (units.Rescale.from_real(0.01, pq.Log2(4), acc_bits=8), {}, "no hardware is generated for codes of Log2"),
        (
            units.TFLiteSoftmax.from_real(0.05, pq.Uniform(8, 1 / 256), 9),
            {},
            "no hardware is generated for TFLiteSoftmax",
        ),
        (standard_unit("gelu", "shift_gelu"), {}, "give a length"),
        (standard_unit("softmax"), {"length": 300}, "rows of up to 197"),
        (standard_unit("layernorm"), {"length": 12}, "constants for 192 channels"),
        (standard_unit("softmax"), {"lanes": 65}, "lanes must be an integer from 1 to 64"),
        (standard_unit("softmax"), {"name": "8bit"}, "cannot prefix modules"),
    ],
)
def test_what_cannot_be_built_is_refused(unit: units.Unit, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UnitHardware(unit, **options)  # type: ignore[arg-type]


def test_parts_that_lanes_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="as many lanes as divide that"):
        UnitHardware(standard_unit("softmax", "ita"), lanes=3).module()


def test_rows_beyond_the_buffer_are_refused() -> None:
    from ptqsim.rtl.units.run import unit_beats

    hardware = UnitHardware(standard_unit("softmax"), length=8)
    with pytest.raises(ValueError, match="holds 8"):
        unit_beats(hardware, [[0] * 9])
