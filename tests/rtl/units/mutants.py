"""Bugs planted in the hardware of integer units: mistakes that people make, and that no linter reports."""

from __future__ import annotations

from ptqsim.rtl.hardware.verilog import Module
from tests.rtl.mutants import Mutant, changed, rebuilt
from tests.rtl.units.cases import CASES

_RESCALE, _RESIDUAL, _GELU = "rescale_core", "residual_add_core", "gelu_core"

MUTANTS: dict[str, Mutant] = {
    "bias_left_out": Mutant("rescale", _RESCALE, r" \+ 10'\(bias\)", ""),
    "accumulator_read_as_unsigned": Mutant("rescale", _RESCALE, r"10'\(acc\)", "{1'b0, acc}"),
    "shift_of_channels_logical": Mutant("rescale", _RESCALE, ">>>", ">>"),
    "half_left_out": Mutant("rescale", "rescale_core_encode", r"halves \+ 10'h001", "halves"),
    "code_wraps": Mutant("rescale", "rescale_core_encode", r"fits \? (\S+) : .*;", r"\1;"),
    "limit_of_the_other_sign": Mutant("rescale", "rescale_core_encode", r"\{rounded\[8\], \{4\{~", "{~rounded[8], {4{"),
    "constants_one_beat_late": Mutant("rescale", "rescale", r"\(beat == 2'd2\) \? 2'd0", "(beat == 2'd3) ? 2'd0"),
    "constants_move_while_waiting": Mutant("rescale", "rescale", r"in_valid & in_ready", "in_valid"),
    "constants_of_the_other_lane": Mutant("rescale", "rescale", r"bias\(constants\[27:19\]\)", "bias(constants[8:0])"),
    "code_overwritten": Mutant("rescale", "rescale_stage", r"in_ready = ~out_valid \| out_ready", "in_ready = 1'b1"),
    "zero_point_left_out": Mutant("rescale_zero_point", "rescale_core_encode", r" \+ \d+'d9", ""),
    "half_of_nearest_up": Mutant("rescale_gelu", "rescale_core_encode", r"inexact & ~negative", "~negative"),
    "remainder_of_the_other_shift": Mutant("rescale_gelu", _RESCALE, r"\(halves_moved <<< amount\)", "halves_moved"),
    "flag_on_zero": Mutant("rescale_gelu", "rescale_core_encode", r" & \(\|rounded\)", ""),
    "flag_one_too_late": Mutant("rescale_softmax", "rescale_core_encode", r"positive >= (\S+)\)", r"positive > \1)"),
    "negative_scores_not_zero": Mutant(
        "rescale_softmax", "rescale_core_encode", r"positive = halves\[\d+\] \? \S+ : ", "positive = "
    ),
    "branch_without_bias": Mutant("residual", _RESIDUAL, r" \+ 10'\(bias\)", ""),
    "branch_subtracted": Mutant("residual", _RESIDUAL, r"18'\(stream\) \+", "18'(stream) -"),
    "sum_one_bit_short": Mutant("residual", _RESIDUAL, r"total = (.*);", r"total = 18'($signed(17'(\1)));"),
    "layer_scale_unsigned": Mutant("residual", "residual_add_core_branch_multiplier", r"16'\(y\)", "{8'd0, y[7:0]}"),
    "table_of_the_next_index": Mutant("gelu", "gelu_core_table", r"case \(index\)", "case (index + 5'd1)"),
    "one_entry_wrong": Mutant("gelu", "gelu_core_table", r"(5'd3: value = 5'h)(\S)(\S)", r"\g<1>0\g<3>"),
    "erf_not_odd": Mutant("i_gelu", "i_gelu_core", r"negative \? -\(polynomial\) : polynomial", "polynomial"),
    "erf_of_zero": Mutant("i_gelu", "i_gelu_core", r"factor = 10'\(erf\)", "factor = 10'(polynomial)"),
    "not_clipped": Mutant("i_gelu", "i_gelu_core", r"\(size < 5'h0d\) \? size\[3:0\] : 4'hd", "size[3:0]"),
    "surplus_lanes_in_the_peak": Mutant("shift_gelu", "shift_gelu", r"(~final_beat \? \S+) : \S+;", r"\1 : 6'h1f;"),
    "peak_kept_for_the_next_row": Mutant("shift_gelu", "shift_gelu", r"(if \()rst \| clear(\) peak)", r"\1rst\2"),
    "value_of_the_next_beat": Mutant("shift_gelu", "shift_gelu", r"value\(held\[4:0\]\)", "value(stored[4:0])"),
    "sixteenth_added": Mutant("shift_gelu", "shift_gelu_exponential", r"three_halves - ", "three_halves + "),
    "one_step_too_few": Mutant("shift_gelu", "shift_gelu_divider", r"place <= 3'd6", "place <= 3'd5"),
    "zero_not_relative_to_the_peak": Mutant("shift_gelu", "shift_gelu", r"6'h00 - peak", "6'h00"),
    "peak_unsigned": Mutant("softmax", "softmax", r"wire signed (\[6:0\] given_0)", r"wire \1"),
    "sum_kept_for_the_next_row": Mutant("softmax", "softmax", r"(if \()rst \| clear(\) total)", r"\1rst\2"),
    "last_score_not_summed": Mutant("softmax", "softmax", r"(if \(state == SUM)\) total", r"\1 & ~row_last) total"),
    "sum_too_narrow": Mutant("softmax", "softmax", r"(total \+ 12'\(exponential_0\))", r"{1'b0, 11'(\1)}"),
    "row_not_rewound": Mutant("softmax", "softmax", r"rewind\(.*\)", "rewind(1'b0)"),
    "far_scores_not_zero": Mutant("softmax", "softmax_exponential", r"zero \? 8'h00 : ", ""),
    "position_wraps": Mutant("softmax", "softmax_exponential", r"\(unbounded < \S+\) \? (\S+) : \S+;", r"\1;"),
    "position_truncated": Mutant("softmax", "softmax_exponential", r"product \+ 23'h002000", "product"),
    "exponential_truncated": Mutant("softmax", "softmax_exponential", r"halves \+ 9'h001", "halves"),
    "remainder_not_restored": Mutant("softmax", "softmax_divider", r"fits \? next - wide : next", "next - wide"),
    "divider_starts_with_all": Mutant("softmax", "softmax_divider", r"rest <= 12'\(in_dividend\S+\)", "rest <= 12'd0"),
    "result_not_held": Mutant("softmax", "softmax_divider", r"if \(out_ready\) out_valid", "out_valid"),
    "shared_value_flagged": Mutant("rescale_hole", "rescale_core_encode", r"flag & ~shared", "flag"),
    "absent_lanes_summed": Mutant("softmax_lanes", "softmax", r"stored\[31\] \? (power_3) : 8'd0", r"\1"),
    "absent_lanes_in_the_peak": Mutant("softmax_lanes", "softmax", r"in_keep\[3\] \? (\S+) : \S+;", r"\1;"),
    "lane_without_exponential": Mutant("softmax_lanes", "softmax", r" \+ 12'\(exponential_2\)", ""),
    "nearer_in_the_middle": Mutant("softmax_nearest", "softmax_encode", r"\(ceiling > ", "(ceiling >= "),
    "reciprocal_of_the_row_before": Mutant("softmax_reciprocal", "softmax", r"(if \()inverted\)", r"\g<1>1'b1)"),
    "gain_left_out": Mutant("softmax_reciprocal", "softmax_scale", r" \* 21'h00001f", " * 21'h000020"),
    "log2_e_rounded_down": Mutant("shiftmax", "shiftmax_exponential", r"three_halves - .*;", "three_halves;"),
    "chord_rounded_down": Mutant("shiftmax", "shiftmax_exponential", r"rest_0 \+ 3'h1", "rest_0"),
    "whole_one_bit_short": Mutant("shiftmax", "shiftmax_exponential", r"\{whole_2, ", "{1'b0, "),
    "halvings_unbounded": Mutant("i_exp", "i_exp_softmax_exponential", r">>> whole", ">>> whole[3:0]"),
    "constant_left_out": Mutant("i_exp", "i_exp_softmax_exponential", r"(polynomial = \S+) \+ \S+;", r"\1;"),
    "sum_not_halved": Mutant("ita", "ita_softmax", r"total <= total >> .*;", "total <= total;"),
    "part_one_beat_long": Mutant("ita", "ita_softmax", r"of_part == 1'd1", "of_part == 2'd2"),
    "risen_from_the_wrong_peak": Mutant("ita", "ita_softmax", r"if \(state == RISE\) summed", "if (accept) summed"),
    "surplus_lanes_squared": Mutant("layer_norm", "layer_norm", r"x_3 = ~final_beat \? (\S+) : \S+;", r"x_3 = \1;"),
    "epsilon_left_out": Mutant("layer_norm", "layer_norm", r"spread \+ 18'h00004", "spread"),
    "sum_not_squared": Mutant("layer_norm", "layer_norm", r"scaled_squares - squared_total", "scaled_squares"),
    "squares_kept": Mutant("layer_norm", "layer_norm", r"squares <= 15'd0", "squares <= squares"),
    "newton_goes_up_again": Mutant("layer_norm_two", "layer_norm_root", r"if \(mean < iterate\) ", ""),
    "newton_one_step_short": Mutant("layer_norm", "layer_norm_root", r"place <= 2'd2", "place <= 2'd1"),
    "odd_exponent": Mutant("layer_norm", "layer_norm_root", r"- pairs, 1'b0\}", "- pairs, pairs[0]}"),
    "shift_one_short": Mutant("layer_norm", "layer_norm_core", r"pairs \+ 4'hf", "pairs + 4'he"),
    "mean_not_subtracted": Mutant("layer_norm", "layer_norm_core", r" - 11'\(total\)", ""),
    "offset_left_out": Mutant("layer_norm", "layer_norm_core", r" \+ 14'\(offset\)", ""),
    "normalized_truncated": Mutant("layer_norm", "layer_norm_core", r"halves_of_z \+ 9'h001", "halves_of_z"),
    "trial_without_its_one": Mutant("layer_norm_bits", "layer_norm_root", r"root, 2'd1", "root, 2'd0"),
    "root_one_bit_short": Mutant("layer_norm_bits", "layer_norm_root", r"place <= 3'd4", "place <= 3'd3"),
}  # fmt: skip


def planted(name: str) -> Module:
    """The unit with the bug in it."""
    mutant = MUTANTS[name]
    return rebuilt(CASES[mutant.unit].module(), mutant, changed)
