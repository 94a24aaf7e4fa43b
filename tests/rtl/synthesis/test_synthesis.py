"""Gates are counted whole, kept, and compared no finer than tools agree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptqsim.rtl import tools
from ptqsim.rtl.synthesis import flow
from ptqsim.rtl.synthesis.designs import DESIGNS, DesignPoint
from ptqsim.rtl.synthesis.sweep import grid, relation, sweep
from tests.rtl.needs import need

SMALL = [DesignPoint("uniform", 3, 2, 8), DesignPoint("gelu", 3, 2, 8), DesignPoint("gelu_deferred", 3, 2, 8)]


def test_registers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many flip-flops as register bits; the second time from the cache, and the same."""
    need("abc")
    costs = sweep(SMALL, jobs=1)
    assert [cost.gates.flip_flops if cost.gates else None for cost in costs] == [8, 8, 16]
    for cost in costs:
        assert cost.gates is not None
        assert cost.gates.transistors is not None
        assert cost.gates.transistors > 16 * cost.gates.flip_flops
        assert cost.gates.depth is not None
        assert cost.gates.depth > 3
        assert "yosys" in cost.gates.tool.lower()
    monkeypatch.setattr(tools.Tool, "script", lambda *_: pytest.fail("synthesized again"))
    assert sweep(SMALL, jobs=1) == costs


def library_cell(name: str, area: int, inputs: str, function: str) -> str:
    """A gate as a liberty file has it: a unit of load, a unit of delay."""
    pins = "".join(f"pin({pin}) {{ direction : input; capacitance : 1; }}\n" for pin in inputs)
    tables = "".join(f'{kind}(scalar) {{ values("1"); }} ' for kind in
                     ("cell_rise", "cell_fall", "rise_transition", "fall_transition"))  # fmt: skip
    timing = "".join(f'timing() {{ related_pin : "{pin}"; {tables}}}\n' for pin in inputs)
    output = f'pin(Y) {{ direction : output; function : "{function}"; {timing}}}'
    return f"cell({name}) {{ area : {area};\n{pins}{output} }}\n"


FLIP_FLOP = """cell(DFF) { area : 7; ff(IQ, IQN) { clocked_on : "C"; next_state : "D"; }
    pin(C) { direction : input; clock : true; } pin(D) { direction : input; }
    pin(Q) { direction : output; function : "IQ"; } }
"""
GATES = [("INV", 2, "A", "A'"), ("BUF", 4, "A", "A"), ("NAND2", 3, "AB", "(A*B)'")]


def test_liberty_gives_area(tmp_path: Path) -> None:
    """Of a library of three gates: the flip-flops, and every other cell between the cheapest gate and the dearest."""
    need("abc")
    path = tmp_path / "three_gates.lib"
    path.write_text(f"library(three_gates) {{\n{''.join(library_cell(*gate) for gate in GATES)}{FLIP_FLOP}}}\n")
    gates = flow.synthesize(SMALL[0].module(), path)
    assert gates.area is not None
    assert gates.flip_flops == 8
    others = gates.cells - 8
    assert 2 * others <= gates.area - 7 * 8 <= 4 * others
    assert (gates.transistors, gates.depth) == (None, None)
    assert gates.liberty is not None
    assert gates.liberty.startswith("three_gates.lib ")


def test_what_is_no_cell_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no file .*nope.lib.*give a cell library in the Liberty format"):
        flow.synthesize(SMALL[0].module(), tmp_path / "nope.lib")
    path = tmp_path / "other.lib"
    path.write_text("library(empty) { }\n")
    with pytest.raises(ValueError, match="has no library with cells in it"):
        flow.synthesize(SMALL[0].module(), path)


def test_partial_estimates_are_refused() -> None:
    assert flow._transistors("Estimated number of transistors:   120") == 120
    with pytest.raises(tools.ToolError, match="no count of transistors"):
        flow._transistors("Estimated number of transistors:   120+")


def test_time_up_is_reported() -> None:
    need("abc")
    (cost,) = sweep([DesignPoint("pwlq", 7, 0, 31)], timeout=0.05)
    assert cost.gates is None
    assert cost.failure is not None
    assert "given up after 0.05 s" in cost.failure


def test_small_gaps_are_not_resolved() -> None:
    assert relation(109, 100) == "not resolved (+9.0%)"
    assert relation(80, 100) == "-20.0%"


def test_grid_has_no_point_twice() -> None:
    points = grid(DESIGNS, [4], [2, 3], [16], ["saturate", "trap"], ["sequential", "tree:4"])
    assert len(points) == len(set(points)) == 4 * (2 * (len(DESIGNS) - 2) + 1) + 1
    assert [point for point in points if point.design == "pwlq"] == [DesignPoint("pwlq", 4, 2, 16, "saturate")]
    with pytest.raises(ValueError, match="Did you mean 'gelu'"):
        DesignPoint("gleu").module()
    with pytest.raises(ValueError, match="adds in sequence"):
        DesignPoint("pwlq", order="tree:4").module()
    assert json.dumps([point.design for point in points])


def test_a_tree_is_counted_per_multiplication() -> None:
    need("abc")
    one, four = sweep([DesignPoint("uniform", 3, 2, 8), DesignPoint("uniform", 3, 2, 8, order="tree:4")], jobs=1)
    assert four.gates is not None
    assert four.per_mac == four.gates.transistors / 4  # type: ignore[operator]
    assert one.per_mac is not None
    assert four.per_mac < one.per_mac
