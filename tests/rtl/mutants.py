"""Bugs planted in generated modules: each is a mistake that people make, and one that no linter reports."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

import ptqsim as pq
from ptqsim.rtl import Unit
from ptqsim.rtl.hardware.dot_product import dot_product
from ptqsim.rtl.hardware.tile import tile
from ptqsim.rtl.hardware.verilog import Module
from tests.rtl.cases import ORDERS, near_term, pairs

COLUMNS = 2
TILES = ("tile", "corrected_tile")
ON_ICARUS = ("pairs", "corrected", "corrected_trap", "corrected_tile")
GELU, SOFTMAX, UNIFORM = pq.TwinGELU(5, 3, 1.0), pq.TwinSoftmax(5, 3), pq.Uniform(5, 1.0)
SEQUENTIAL, TREE, SPLIT = ORDERS.values()


def corrected(a: pq.Uniform, overflow: str, order: pq.Sequential | pq.Tree, extra: int) -> Unit:
    """A unit that corrects for zero points of both operands."""
    made = near_term(a, pq.Uniform(3, 1.0, zero_point=-2), overflow, order, "product", extra=extra)
    return replace(made, accumulator=replace(made.accumulator, zero_point="correction"))


UNITS: dict[str, Unit] = {
    "saturating": near_term(GELU, UNIFORM, "saturate", SEQUENTIAL, "product"),
    "wrapping": near_term(SOFTMAX, UNIFORM, "wrap", SEQUENTIAL, "product", style="baugh_wooley"),
    "trapping": near_term(GELU, UNIFORM, "trap", SEQUENTIAL, "operand", extra=2),
    "run_time": near_term(SOFTMAX, pq.TwinGELU(5, 2, 1.0), "wrap", SEQUENTIAL, "product", runtime=True),
    "tree": near_term(GELU, UNIFORM, "saturate", TREE, "product", extra=1),
    "split": near_term(GELU, UNIFORM, "saturate", SPLIT, "product"),
    "deferred": near_term(SOFTMAX, UNIFORM, "saturate", SEQUENTIAL, "deferred", extra=2),
    "asymmetric": near_term(
        pq.Uniform(5, 1.0, signed=False, zero_point=11),
        pq.Uniform(5, 1.0, zero_point=-3),
        "saturate",
        TREE,
        "product",
        extra=1,
    ),
    "float": near_term(pq.E3M2, pq.E2M3, "saturate", SEQUENTIAL, "product", extra=1),
    "logarithm": near_term(pq.Log2(4, root=2), UNIFORM, "wrap", SEQUENTIAL, "operand"),
    "tile": near_term(SOFTMAX, UNIFORM, "wrap", SEQUENTIAL, "product", extra=6),
    "pairs": pairs(5)[0],
    "corrected": corrected(pq.Uniform(3, 1.0, signed=False, zero_point=5), "saturate", TREE, extra=2),
    "corrected_trap": corrected(pq.Uniform(3, 1.0, zero_point=-3), "trap", SEQUENTIAL, extra=1),
    "corrected_tile": corrected(pq.Uniform(3, 1.0, zero_point=2), "wrap", SEQUENTIAL, extra=6),
}


class Mutant(NamedTuple):
    """A unit of `UNITS`, the module of it that is changed, and the change: a pattern and what takes its place."""

    unit: str
    module: str
    pattern: str
    replacement: str


MUTANTS: dict[str, Mutant] = {
    "gelu_sign_lost": Mutant("saturating", "a_decoder", r"flag \? magnitude : -magnitude", "magnitude"),
    "flag_inverted": Mutant("saturating", "a_decoder", r"flag = code\[4\]", "flag = ~code[4]"),
    "flag_read_as_sign": Mutant("saturating", "a_decoder", r"\{1'b0, code\[3:0\]\}", "code"),
    "shift_never": Mutant("saturating", "product", r"a_flag \? \{product, 3'd0\} : ", ""),
    "shift_always": Mutant("saturating", "product", r"a_flag \? (\{product, 3'd0\}) : .*;", r"\1;"),
    "shift_one_short": Mutant("saturating", "product", r"\{product, 3'd0\}", "{1'b0, product, 2'd0}"),
    "product_zero_extended": Mutant("saturating", "product", r"(\d+)'\(product\)", "{3'd0, product}"),
    "unsigned_multiply": Mutant("saturating", "multiplier", r"(\d+)'\(x\)", "{4'd0, x[4:0]}"),
    "product_one_bit_short": Mutant(
        "saturating", "multiplier", r"product = wide_x \* wide_y", "product = {1'b0, 8'(wide_x * wide_y)}"
    ),
    "no_guard_bit": Mutant("saturating", "accumulate", "", ""),
    "clamped_to_the_wrong_side": Mutant("saturating", "accumulate", r"limit = \{exact", "limit = {~exact"),
    "lower_limit_one_too_high": Mutant("saturating", "accumulate", r"fits \? exact(\S+) : limit",
                                       r"fits ? exact\1 : limit | {12{exact[12]}} & 12'd1"),
    "partial_product_not_inverted": Mutant("wrapping", "multiplier", r"~(\(x\[3:0\] & \{4\{y\[4\]\}\}\))", r"\1"),
    "constant_forgotten": Mutant("wrapping", "multiplier", r" \+ \d+'h[0-9a-f]+;", ";"),
    "never_from_zero": Mutant("wrapping", "element", r"first \? \d+'sd0 : acc", "acc"),
    "flag_not_sticky": Mutant("trapping", "element", r"overflows \| \(trapped & ~first\)", "overflows"),
    "flag_sticks_for_ever": Mutant("trapping", "element", r"\(trapped & ~first\)", "trapped"),
    "event_on_one_side_only": Mutant("trapping", "accumulate", r"overflows = ~fits", "overflows = ~fits & ~exact[13]"),
    "shift_of_the_other_operand": Mutant("run_time", "product", r"b_flag \? m_b : 2'd0", "b_flag ? m_a : 2'd0"),
    "flag_of_the_other_operand": Mutant("run_time", "product", r"b_flag \? m_b", "a_flag ? m_b"),
    "lane_left_out": Mutant("tree", "step", r" \+ \d+'\(term_2\)", ""),
    "sum_of_lanes_too_narrow": Mutant("tree", "step", r"(\d+)'\(term_0\) \+ (\d+)'\(term_1\)",
                                      r"\1'(12'(term_0 + term_1))"),
    "tile_not_cleared": Mutant("split", "step", r"tile_end \? \d+'sd0 : tile_sum", "tile_sum"),
    "last_tile_not_flushed": Mutant("split", "dot", r"tile_end = in_last \| ", "tile_end = "),
    "place_kept_after_the_last": Mutant("split", "dot", r"place <= tile_end \?", "place <= (place == 2'd3) ?"),
    "ranges_exchanged": Mutant("deferred", "element", r"acc_r1\) \+ \(wide_r2", "acc_r2) + (wide_r2"),
    "both_ranges_added": Mutant("deferred", "step", r"\(~a_flag\) \? term : \d+'sd0", "term"),
    "deferred_shift_forgotten": Mutant("deferred", "element", r"wide_r2 <<< 3", "wide_r2"),
    "zero_point_forgotten": Mutant("asymmetric", "product", r" - 6'd11", ""),
    "zero_point_added": Mutant("asymmetric", "product", r" - 6'd11", " + 6'd11"),
    "zero_point_of_the_other_operand": Mutant("asymmetric", "product", r" - 6'd11", " + 6'd3"),
    "unsigned_read_as_signed": Mutant("asymmetric", "product", r"wire (\[4:0\] a_integer)", r"wire signed \1"),
    "signed_read_as_unsigned": Mutant("asymmetric", "product", r"wire signed (\[4:0\] b_integer)", r"wire \1"),
    "subnormal_with_leading_one": Mutant("float", "a_decoder", r"normal, code", "1'b1, code"),
    "subnormal_one_step_short": Mutant("float", "a_decoder", r" - 3'\(normal\)", " - 3'd1"),
    "exponent_not_reduced": Mutant("float", "a_decoder", r" - 3'\(normal\)", ""),
    "sign_of_the_fraction": Mutant("float", "a_decoder", r"code\[5\] \?", "code[4] ?"),
    "shift_of_one_operand": Mutant("float", "product", r" \+ \d+'\(b_shift\)", ""),
    "sum_of_shifts_too_narrow": Mutant("float", "product", r"<<< total_shift", "<<< total_shift[2:0]"),
    "float_product_zero_extended": Mutant("float", "product", r"= (\d+)'\(product\)", r"= \1'($unsigned(product))"),
    "zero_is_a_power": Mutant("logarithm", "a_decoder", r"is_zero \? \d+'d0 : ", ""),
    "fractions_exchanged": Mutant("logarithm", "a_decoder", r"== 1'd0", "== 1'd1"),
    "logarithm_upside_down": Mutant("logarithm", "a_decoder", r"3'd7 - ", ""),
    "fraction_not_shifted": Mutant("logarithm", "product", r" << a_shift", ""),
    "pairs_wrap": Mutant("pairs", "accumulate_inner", r"fits \? exact(\S+) : limit", r"exact\1"),
    "pairs_of_three": Mutant("pairs", "dot", r"place == 1'd1", "place == 2'd2"),
    "pairs_not_apart": Mutant("pairs", "step", r"tile_end \? \d+'sd0 : tile_sum", "tile_sum"),
    "zero_point_subtracted_as_well": Mutant("corrected", "product", r"(a_mantissa) = a_code", r"\1 = a_code - 3'd5"),
    "constant_not_preloaded": Mutant("corrected", "element", r"first \? preload : acc", "first ? 7'sd0 : acc"),
    "constant_at_every_step": Mutant("corrected", "element", r"first \? preload : acc", "preload"),
    "preload_wrapped": Mutant("corrected", "preload", r"fits \? exact(\S+) : limit", r"exact\1"),
    "rest_wrapped": Mutant("corrected", "add_rest", r"fits \? exact(\S+) : limit", r"exact\1"),
    "rest_of_the_wrong_sign": Mutant("corrected", "rest", r"rest = \(wide <<< 1\)", "rest = -(wide <<< 1)"),
    "rest_of_the_other_zero_point": Mutant("corrected", "rest", r"rest = \(wide <<< 1\)", "rest = wide - (wide <<< 3)"),
    "row_sum_never_from_zero": Mutant("corrected", "rest", r"first \? \d+'sd0 : row_sum", "row_sum"),
    "row_sum_without_a_lane": Mutant("corrected", "rest", r" \+ \$signed\(\d+'\(a_value_2\)\)", ""),
    "row_sum_while_waiting": Mutant("corrected", "rest", r"if \(enable\)", "if (1'b1)"),
    "rest_kept_in_the_register": Mutant("corrected", "element", r"acc <= next_acc", "acc <= corrected"),
    "rest_left_out": Mutant("corrected", "element", r"result = corrected", "result = acc"),
    "event_of_the_preload_lost": Mutant("corrected_trap", "element", r"first \? overflows_constant :", "~first &"),
    "event_of_the_preload_for_ever": Mutant("corrected_trap", "element", r"\(first \? (\w+) : (\w+)\)",
                                            r"(\1 | \2)"),
    "event_of_the_rest_lost": Mutant("corrected_trap", "element", r"trapped = sticky \| \w+", "trapped = sticky"),
    "row_sum_read_as_unsigned": Mutant("corrected_trap", "integer", "= a_mantissa", "= a_mantissa & 3'd3"),
    "constants_of_the_first_word": Mutant("corrected_tile", "tile", r"& \(w_step == 4'd12\)", "& (w_step == 4'd0)"),
    "constant_of_the_other_column": Mutant("corrected_tile", "tile", r"constants\[8:0\]", "constants[17:9]"),
    "rest_of_the_row_before": Mutant("corrected_tile", "tile", r"first(\),\n    \.a_code\(a_code\),\n    \.rest)",
                                     r"last\1"),
    "result_overwritten": Mutant("wrapping", "dot", r"in_ready = ~out_valid \| out_ready", "in_ready = 1'b1"),
    "offer_taken_twice": Mutant("wrapping", "dot", r"accept = in_valid & in_ready", "accept = in_ready"),
    "weights_of_the_next_step": Mutant("tile", "tile", r"= weights\[step\]", "= weights[last ? 4'd0 : step + 4'd1]"),
    "weights_of_the_other_column": Mutant("tile", "tile", r"weights_now\[4:0\]", "weights_now[9:5]"),
    "row_one_step_short": Mutant("tile", "tile", r"last = step == 4'd12", "last = step == 4'd11"),
}  # fmt: skip


def whole(unit: str) -> Module:
    """The module that is tested."""
    return tile(UNITS[unit], COLUMNS) if unit in TILES else dot_product(UNITS[unit])


def planted(name: str) -> Module:
    """The unit with the bug in it."""
    mutant = MUTANTS[name]
    change = _without_guard_bit if name == "no_guard_bit" else changed
    return rebuilt(whole(mutant.unit), mutant, change)


def rebuilt(module: Module, mutant: Mutant, change: object) -> Module:
    """The module with a change in one of its parts."""
    parts = tuple(rebuilt(part, mutant, change) for part in module.parts)
    if module.name == f"ptqsim_{mutant.module}":
        assert callable(change)
        return replace(module, parts=parts, body=change(module, mutant))
    return replace(module, parts=parts)


def changed(module: Module, mutant: Mutant) -> str:
    """The body of the part that a mutant names, with its pattern replaced."""
    body, count = re.subn(mutant.pattern, mutant.replacement, module.body)
    assert count, f"{mutant.pattern!r} is not in {module.name}:\n{module.body}"
    return body


def _without_guard_bit(module: Module, _: Mutant) -> str:
    """The exact sum one bit narrower: as wide as the wider of register and term."""
    found = re.search(r"\[(\d+):0\] exact", module.body)
    assert found is not None
    top = int(found[1])
    body = module.body.replace(f"{top + 1}'(", f"{top}'(").replace(f"[{top}:", f"[{top - 1}:")
    return body.replace(f"exact[{top}]", f"exact[{top - 1}]")
