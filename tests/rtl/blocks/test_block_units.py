"""Units of blocks: every step equals the reference, planted bugs are caught, circuits are proven."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import rtl
from ptqsim.cli.framework import app
from ptqsim.rtl import BlockUnit
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.proofs.circuits import same_as_gates
from ptqsim.rtl.simulation.cxxrtl import CxxrtlModule, compile_modules
from tests.rtl.blocks.cases import SMALL, UNITS, rows, word
from tests.rtl.needs import need

ROWS = 400
MUTANTS = {
    "shift_not_limited": ("cut", "shift_and_add", r"places < -\S+ \? -\S+ : ", ""),
    "left_not_limited": ("cut", "shift_and_add", r"places > \S+ \? \S+ : ", ""),
    "shift_of_one_scale": ("cut", "sum", r" \+ \$signed\(\{1'd0, b_scale\}\)", ""),
    "scale_bias_off_by_one": ("cut", "sum", r"'sd256", "'sd255"),
    "lane_left_out": ("cut", "sum", r" \+ \d+'\(term_3\)", ""),
    "ties_up": ("rounded", "shift_and_add", r" & \(wide\[\d+\] \| .*;", ";"),
    "rounded_down": ("rounded", "shift_and_add", r"floored \+ .*;", "floored;"),
    "subnormal_scale": ("nv", "sum", r"a_normal, a_scale", "1'b1, a_scale"),
    "scale_left_out": ("nv", "sum", r" \* b_integer", ""),
    "event_lost": ("trap", "accumulate", r"overflows = ~fits", "overflows = 1'b0"),
    "aligned_to_the_register": ("aligned", "aligned_sum", r"greatest = greatest_1", "greatest = greatest_0"),
    "zeros_align": ("aligned", "aligned_sum", r"value_counts & \(", "1'b1 & ("),
    "cut_downward": ("aligned", "aligned_sum", r"value_negative \? -value_whole", "value_negative ? ~value_whole"),
    "subnormals_flushed": ("aligned", "aligned_sum", r"is_small \? \{7'd0, small\}", "is_small ? 31'd0"),
    "infinite": ("pairs", "aligned_sum", r"31'h7f7fffff", "31'h7f800000"),
    "second_pair_left_out": ("pairs", "aligned_sum", r" \+ \d+'\(value_1_term\)", ""),
    "leading_zeros_off": ("pairs", "of_value", r"\{empty_", "{~empty_"),
}


@cache
def compiled() -> dict[str, CxxrtlModule]:
    need("yosys", "g++")
    modules = {name: unit.step() for name, unit in UNITS.items()} | {name: planted(name) for name in MUTANTS}
    return dict(zip(modules, compile_modules(list(modules.values())), strict=True))


def planted(name: str) -> Module:
    unit, part, pattern, replacement = MUTANTS[name]

    def changed(module: Module) -> Module:
        parts = tuple(changed(one) for one in module.parts)
        if module.name != f"ptqsim_{part}":
            return replace(module, parts=parts)
        body, count = re.subn(pattern, replacement, module.body)
        assert count, f"{pattern} is not in {module.name}"
        return replace(module, body=body, parts=parts)

    return changed(UNITS[unit].step())


def differs(name: str, unit: BlockUnit) -> bool:
    given, expected, flags = rows(unit, ROWS, np.random.default_rng(5))
    found = compiled()[name].evaluate(given)
    wrong = not np.array_equal(found["next_acc"], expected)
    return wrong or (unit.traps and found["overflows"].tolist() != flags)


@pytest.mark.parametrize("name", UNITS)
def test_every_step_is_that_of_the_reference(name: str) -> None:
    assert not differs(name, UNITS[name])


@pytest.mark.parametrize("name", MUTANTS)
def test_planted_bugs_are_caught(name: str) -> None:
    assert differs(name, UNITS[MUTANTS[name][0]])


def test_an_element_adds_step_by_step() -> None:
    """Golden vectors of blocks, fed to processing elements: the register after every step is theirs."""
    need("yosys", "g++")
    registers = (pq.FixedPoint(14, -6, "saturate"), pq.AlignedFloat32(9))
    for register in registers:
        unit = BlockUnit(SMALL, SMALL, register)
        a, b = pq.quantize_blocks(np.random.default_rng(3).normal(size=(1, 24)), SMALL), None
        b = pq.quantize_blocks(np.random.default_rng(4).normal(size=(24, 1)), SMALL, axis=0)
        (values,) = pq.block_reference.values(a, b)[0]
        held = pq.block_reference.steps(values, register)
        steps = len(held)
        feed = {
            "enable": np.ones(steps + 1, np.int64),
            "first": np.array([1] + [0] * steps),
            "a_code": np.concatenate([a.codes[0], a.codes[0][:1]]),
            "b_code": np.concatenate([b.codes[0], b.codes[0][:1]]),
            "a_scale": np.concatenate([a.scales[0], [127]]),
            "b_scale": np.concatenate([b.scales[0], [127]]),
        }
        found = compile_modules([unit.module()])[0].evaluate(feed)["result"]
        expected = held if isinstance(register, pq.FixedPoint) else [word(value) for value in held]
        assert found[1:].tolist() == expected


@pytest.mark.parametrize("register", [pq.FixedPoint(6, 0, "saturate", "half_even"), pq.AlignedFloat32(3)], ids=str)
def test_circuits_are_what_is_written(register: pq.FixedPoint | pq.AlignedFloat32) -> None:
    need("yosys")
    tiny = pq.Block(pq.Minifloat(1, 1), 2)
    assert same_as_gates(BlockUnit(tiny, tiny, register).step(), 300) is None


def test_what_is_refused() -> None:
    for arguments, kind, words in (
        ((SMALL, pq.MXFP4, pq.FixedPoint(8, 0)), ValueError, "do not fit; give formats of the same size"),
        ((SMALL, SMALL, pq.Float32()), TypeError, "legal are FixedPoint and AlignedFloat32"),
        ((pq.E2M1, SMALL, pq.FixedPoint(8, 0)), TypeError, "such as ptqsim.MXFP8"),
        ((pq.MXFP4, pq.MXFP4, pq.AlignedFloat32(8, 16)), ValueError, "512 products at a step; 256 are generated"),
        ((pq.MXFP8_E5M2, pq.MXFP8_E5M2, pq.FixedPoint(8, 0)), ValueError, "could need 70 bits"),
    ):
        with pytest.raises(kind, match=words):
            BlockUnit(*arguments)  # type: ignore[arg-type]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["rtl", "generate", "--a-format", "mxfp4", "-o", str(tmp_path)]
    assert app.main([*given, "--register", "fixed:24:-12:saturate"]) == 0
    assert "24 bits, least weight 2^-12" in (tmp_path / "ptqsim_shift_and_add.sv").read_text()
    assert rtl.BlockUnit(pq.MXFP4, pq.MXFP4, pq.FixedPoint(24, -12, "saturate")).module().name == "ptqsim_element"
    assert app.main(given) == 2
    assert "give --register, for instance" in capsys.readouterr().err.replace("\n", " ")
    assert app.main([*given, "--register", "float32"]) == 2
    assert "legal are fixed:BITS:WEIGHT and aligned:BITS" in capsys.readouterr().err.replace("\n", " ")
