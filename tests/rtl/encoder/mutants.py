"""Bugs planted in a block: in its program, and in the modules around its units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from ptqsim.rtl import EncoderBlock
from ptqsim.rtl.encoder.loops import Loops
from ptqsim.rtl.encoder.program import Instruction, Program
from ptqsim.rtl.hardware.verilog import Module
from tests.rtl.mutants import Mutant, changed, rebuilt

Change = Callable[[Instruction], Instruction]


def _one(program: Program, step: str, index: tuple[int, ...], change: Change) -> Program:
    """The program with one instruction changed."""
    found = tuple(
        change(one) if (one.step, one.index) == (f"blocks.0.{step}", index) else one for one in program.instructions
    )
    assert found != program.instructions
    return replace(program, instructions=found)


def _from(program: Program, step: str, index: tuple[int, ...]) -> Instruction:
    return next(one for one in program.instructions if (one.step, one.index) == (f"blocks.0.{step}", index))


def _moved(loops: Loops, by: int) -> Loops:
    return replace(loops, base=loops.base + by)


def _early(program: Program, step: str, before: str) -> Program:
    """The instructions of a step before those of another one."""
    early = [one for one in program.instructions if one.step == f"blocks.0.{step}"]
    rest = [one for one in program.instructions if one not in early]
    place = next(i for i, one in enumerate(rest) if one.step == f"blocks.0.{before}")
    return replace(program, instructions=(*rest[:place], *early, *rest[place:]))


def _without(program: Program, step: str, index: tuple[int, ...]) -> Program:
    gone = _from(program, step, index)
    return replace(program, instructions=tuple(one for one in program.instructions if one is not gone))


PROGRAMS: Final[dict[str, Callable[[Program], Program]]] = {
    "scores_of_the_other_head": lambda p: _one(
        p, "attn.softmax", (1,), lambda one: replace(one, a=_from(p, "attn.softmax", (0,)).a)
    ),
    "queries_from_the_place_of_the_keys": lambda p: _one(
        p, "attn.q", (0,), lambda one: replace(one, a=_from(p, "attn.k", (0,)).a)
    ),
    "softmax_of_the_other_head": lambda p: _one(
        p, "attn.softmax", (1,), lambda one: replace(one, target=_from(p, "attn.softmax", (0,)).target)
    ),
    "shift_of_the_other_head": lambda p: _one(p, "attn.matmul_pv", (1, 0), lambda one: replace(one, shifts=(4, 0))),
    "keys_not_transposed": lambda p: _one(
        p, "attn.matmul_qk", (0, 0), lambda one: replace(one, b=Loops(one.b.base, ((3, 3),), ((4, 1),)))
    ),
    "heads_not_merged": lambda p: _one(
        p, "attn.proj", (0,), lambda one: replace(one, a=Loops(one.a.base, ((4, 6),), ((6, 1),)))
    ),
    "weights_of_the_next_column": lambda p: _one(p, "mlp.fc1", (0,), lambda one: replace(one, b=_moved(one.b, 1))),
    "weights_of_another_product": lambda p: _one(
        p, "attn.proj", (0,), lambda one: replace(one, b=_from(p, "mlp.fc2", (0,)).b)
    ),
    "weights_from_the_data": lambda p: _one(p, "mlp.fc2", (0,), lambda one: replace(one, weights=False)),
    "residual_of_the_first_half": lambda p: _one(
        p, "add2", (), lambda one: replace(one, a=_from(p, "add1", ()).a)
    ),
    "branch_read_too_early": lambda p: _early(p, "add1", "attn.proj"),
    "residual_read_too_early": lambda p: _early(p, "norm2", "add1"),
    "last_columns_left_out": lambda p: _without(p, "attn.qkv", (16,)),
    "result_one_row_late": lambda p: _one(p, "mlp.act", (), lambda one: replace(one, out=_moved(one.out, 8))),
}  # fmt: skip
"""Bugs in the program, as functions of it."""

MODULES: Final[dict[str, Mutant]] = {
    "loop_carries_too_early": Mutant("", "walker", r"advance & end_0\)", "advance)"),
    "jump_of_the_inner_loop": Mutant("", "walker", r"~end_0 \? (\S+) : ~end_1 \? \S+", r"~end_0 ? \1 : ~end_1 ? \1"),
    "ends_with_the_first_row": Mutant("", "walker", r"assign last = .*;", "assign last = end_0;"),
    "counts_of_the_last_instruction": Mutant("", "walker", r"if \(load\) count_1 <= \S+;", "if (1'b0) count_1 <= 0;"),
    "columns_not_reset": Mutant("", "uniform_port", r"b_row_last \? 2'd0 : lane", "lane"),
    "old_weights_kept": Mutant("", "uniform_tile", r"rst \| w_restart", "rst"),
    "weights_sent_column_by_column": Mutant("", "uniform_port", r"full <= b_valid & b_row_last", "full <= b_valid"),
    "results_overwritten": Mutant("", "uniform_port", r"results_ready = .*;", "results_ready = 1'b1;"),
    "sign_not_extended": Mutant("", "uniform_port", r"o_word = .*;", "o_word = {12'd0, row[11:0]};"),
    "depth_one_too_many": Mutant("", "uniform_tile", r"newest <= w_step", "newest <= w_step + 1"),
    "row_of_softmax_not_ended": Mutant("", "block", r"\.in_last\(a_row_last\)", ".in_last(1'b1)"),
    "counter_over_an_edge": Mutant("", "block", r"10'd488 \+ 10'\(counter\)", "10'd480 + 10'(counter)"),
    "one_code_of_the_input_lost": Mutant("", "block", r"if \(place == 10'd23\) state", "if (place == 10'd22) state"),
}
"""Bugs in the modules; the name of the unit is not used."""


def planted(hardware: EncoderBlock, name: str) -> Module:
    """The block with a bug in it."""
    if name in PROGRAMS:
        return hardware.module(PROGRAMS[name](hardware.program))
    return rebuilt(hardware.module(), MODULES[name], changed)
