"""Generated hardware: readable, accepted by every tool, and refused where the arithmetic is another one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import pytest

import ptqsim as pq
from ptqsim import rtl
from ptqsim.rtl import ChannelRequantizerUnit, PWLQUnit, RequantizerUnit, Unit, tools
from ptqsim.rtl.hardware.dot_product import dot_product
from ptqsim.rtl.hardware.step import registers
from ptqsim.rtl.hardware.tile import tile
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.picture import svg
from tests.rtl import cases
from tests.rtl.needs import need

EVERY = [unit for bits in (2, 8) for unit in (*cases.variants(bits), *cases.corrected(bits), *cases.pairs(bits))]


def designs() -> list[Module]:
    """A tenth of the variants, and the units beside them."""
    found = [tile(unit, 2) if number % 2 else dot_product(unit) for number, unit in enumerate(EVERY[::17])]
    requantizers = [
        RequantizerUnit(pq.Requantizer.of(factor, 31, mode), 20, 8, bias, style)
        for mode, factor, bias, style in (
            ("half_away", 0.01, None, "behavioral"),
            ("tflite_double", 0.02, 18, "baugh_wooley"),
            ("half_even", 1.7, 20, "behavioral"),
            ("truncate", 0.3, None, "baugh_wooley"),
        )
    ]
    channels = [
        ChannelRequantizerUnit.of([0.01, 0.5, 2.5], target, 20, mode, 31, bias, style)
        for mode, target, bias, style in (
            ("half_even", pq.Uniform(8, 1.0, signed=False, zero_point=113), None, "baugh_wooley"),
            ("tflite_double", pq.Uniform(4, 1.0, zero_point=-3), 18, "behavioral"),
            ("toward_zero", pq.Uniform(8, 1.0, signed=False), None, "behavioral"),
        )
    ]
    beside = [unit.module() for unit in (*requantizers, *channels)]
    return [*found, *beside, PWLQUnit(overflow="saturate").module()]


def lint(module: Module, tool: tools.Tool) -> str:
    """Messages of a linter about a module and all that it instantiates; empty if there are none.

    Verilator takes every warning that it knows; Icarus compiles; Yosys reads and checks the hierarchy.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = [f"{part.name}.sv" for part in module.hierarchy()]
        for file, text in module.files().items():
            (folder / file).write_text(text)
        try:
            if tool.name == "verilator":
                return tool.run(["--lint-only", "-Wall", "-sv", "--top-module", module.name, *files], folder)
            if tool.name == "iverilog":
                return tool.run(["-g2012", "-Wall", "-t", "null", "-s", module.name, *files], folder)
            read = f"read_verilog -sv {' '.join(files)}"
            written = tool.script([read, f"hierarchy -check -top {module.name}", "proc", "check -assert"], folder)
        except tools.ToolError as error:
            return str(error)
        return "\n".join(line for line in written.split("\n") if "Warning" in line)


def test_every_header_states_a_formula() -> None:
    for unit in EVERY:
        for part in tile(unit, 2).hierarchy():
            header = part.render().partition("`default_nettype")[0]
            assert re.search(r"^//   \w.* = ", header, re.MULTILINE), header
            assert all(line.startswith("//") for line in header.strip().split("\n"))


def test_modules_are_short_and_ports_are_said() -> None:
    for module in designs():
        for part in module.hierarchy():
            text = part.render()
            assert len(text.split("\n")) < 250
            assert max(map(len, text.split("\n"))) <= 140
            assert text.count("\nmodule ") == 1
            assert text.count("assign ") + text.count("always_") + text.count(" u_") > 0


@pytest.mark.parametrize("tool", ["verilator", "iverilog", "yosys"])
def test_no_tool_warns(tool: str) -> None:
    need(tool)
    found = tools.find(tool, "to lint")
    for module in designs() if tool != "yosys" else designs()[::4]:
        assert lint(module, found) == "", module.name


def test_the_same_design_gives_the_same_files(tmp_path: Path) -> None:
    unit = Unit(
        pq.TwinSoftmax(6, 4), pq.Uniform(6, 1.0), pq.Accumulator(18, "saturate", pq.Tree(4)), depth=32, name="pv"
    )
    for folder in ("one", "two"):
        written = rtl.write(rtl.tops(unit, columns=4), tmp_path / folder, {"unit": unit.to_dict()})
    assert [p.read_bytes() for p in written] == [(tmp_path / "one" / p.name).read_bytes() for p in written]
    manifest = json.loads((tmp_path / "one" / "design.json").read_text())
    assert manifest["tops"] == ["pv_dot", "pv_tile"]
    assert Unit.from_dict(manifest["unit"]) == unit
    order = (tmp_path / "one" / "files.f").read_text().split()
    assert order[-1] == "pv_tile.sv"
    assert {*order, "files.f"} == manifest["files"].keys()


def test_two_designs_of_one_name_are_refused(tmp_path: Path) -> None:
    units = [Unit(pq.Uniform(8, 1.0), pq.Uniform(8, 1.0), pq.Accumulator(bits)) for bits in (20, 24)]
    with pytest.raises(ValueError, match="give their units different names"):
        rtl.write([dot_product(unit) for unit in units], tmp_path, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": pq.Log2(8)}, "takes Log2 of up to 5 bits"),
        ({"a": pq.PWLQ.covering(8, 1.0, 2.0)}, "PWLQUnit for comparison"),
        ({"depth": 0}, "depth must be an integer from 1"),
        ({"runtime_shift": True}, "needs a twin format"),
        ({"multiplier": "booth"}, "unknown multiplier 'booth'"),
        ({"name": "8bit"}, "cannot prefix modules"),
        ({"accumulator": pq.Accumulator(24, order=pq.Tree(1000))}, "256 are generated at most"),
        ({"a": pq.TwinGELU(16, 32, 1.0), "b": pq.Uniform(16, 1.0)}, "could need"),
    ],
)
def test_what_cannot_be_built_is_refused(change: dict[str, object], message: str) -> None:
    fields: dict[str, object] = {"a": pq.Uniform(8, 1.0), "b": pq.Uniform(8, 1.0), "accumulator": pq.Accumulator(24)}
    with pytest.raises(ValueError, match=message):
        Unit(**(fields | change))  # type: ignore[arg-type]


def test_a_missing_tool_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    tools.find.cache_clear()
    try:
        with pytest.raises(
            rtl.MissingToolError, match=r"^verilator is not installed.*to lint: apt-get install verilator$"
        ):
            tools.find("verilator", "to lint")
    finally:
        tools.find.cache_clear()


def test_the_picture_in_the_documentation_is_that_of_its_unit() -> None:
    unit = Unit(pq.TwinGELU(8, 4, 1.0), pq.Uniform(8, 1.0), pq.Accumulator(24, "saturate"), depth=384)
    path = Path(__file__).parents[2] / "docs" / "images" / "rtl_datapath.svg"
    assert path.read_text(encoding="utf-8") == svg(unit)


@pytest.mark.parametrize("number", range(0, len(EVERY), 13))
def test_a_picture_names_every_register_and_width(number: int) -> None:
    unit = EVERY[number]
    drawn = svg(unit)
    ElementTree.fromstring(drawn)
    for register in registers(unit):
        assert f"+ {register.name}<" in drawn
    for width in (
        unit.product.bits if unit.lanes == 1 else unit.group_sum.bits,
        unit.acc.bits,
        unit.a.bits,
        unit.b.bits,
    ):
        assert f">{width}<" in drawn or unit.accumulator.alignment == "operand"
