"""A multiplier and a shift per channel: equal to `pq.requantize` with scales per channel, and planted bugs caught."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.rtl import ChannelRequantizerUnit
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.simulation.cxxrtl import compile_modules
from ptqsim.rtl.simulation.engines import build
from ptqsim.rtl.simulation.matmul import Simulated
from tests.rtl.needs import need

SCALES = [0.0117, 0.25, 1.7, 4.5, 0.0009]
"""Shifts to the right, none, and to the left."""
TARGETS = (
    pq.Uniform(6, 0.9, signed=False, zero_point=11),
    pq.Uniform(5, 0.3, zero_point=-5),
    pq.Uniform(4, 1.0),
    pq.Uniform(6, 0.3, signed=False),
)
ACC_BITS = 8
CASES = [
    (ChannelRequantizerUnit.of(SCALES, target, ACC_BITS, mode, bits, bias, style), target, bits)
    for number, mode in enumerate(map(str, pq.RequantizeRounding))
    for target, bits, bias, style in [
        (
            TARGETS[number % 4],
            31 if mode.startswith("tflite") else 3,
            (None, 6)[number % 2],
            ("behavioral", "baugh_wooley")[number % 3 // 2],
        )
    ]
]
PLANTED = {
    "zero_point_forgotten": ("rescale", r" \+ \d+'d11;", ";"),
    "zero_point_subtracted": ("rescale", r" \+ (\d+'d11);", r" - \1;"),
    "negative_not_clamped": ("rescale", r"moved\[\d+\] \? 6'd0 : ", ""),
    "large_not_clamped": ("rescale", r"\(\|moved\[\d+:6\]\) \? \{6\{1'b1\}\} : ", ""),
    "half_of_a_negative_up": ("rescale", r"\? half - \d+'\(divides\) : half", "? half : half"),
    "nudged_without_a_shift": ("rescale", r"\|right", "1'b1"),
    "shift_without_sign": ("rescale", r"nudged >>> right", "nudged >> right"),
    "channel_of_the_next": ("factors", r"3'd1:", "3'd5:"),
    "shift_of_another_channel": ("factors", r"(3'd1: begin factor = \S+ right = \d+'d)\d+", r"\g<1>1"),
    "factor_a_bit_short": ("factors", r"3'd3: begin factor = 3'd\d", "3'd3: begin factor = 3'd1"),
}
"""Of the first case: the module that is changed, a pattern, and what takes its place."""


def planted(name: str) -> Module:
    part, pattern, new = PLANTED[name]

    def changed(module: Module) -> Module:
        parts = tuple(map(changed, module.parts))
        if module.name != f"ptqsim_{part}":
            return replace(module, parts=parts)
        body, count = re.subn(pattern, new, module.body)
        assert count, f"{pattern!r} is not in {module.name}:\n{module.body}"
        return replace(module, parts=parts, body=body)

    return changed(CASES[0][0].module())


def found_and_wanted(number: int, simulated: Simulated) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every accumulator in every channel, with biases at the corners."""
    unit, target, bits = CASES[number]
    acc = np.repeat(np.arange(-(1 << (ACC_BITS - 1)), 1 << (ACC_BITS - 1)), len(SCALES)).reshape(-1, len(SCALES))
    given = {"acc": acc.ravel(), "channel": np.tile(np.arange(len(SCALES)), len(acc))}
    bias = None
    if unit.bias_bits is not None:
        bias = np.resize([0, 31, -32, 5, -7, 1, -1], acc.shape)
        given["bias"] = bias.ravel()
    wanted = pq.requantize(acc, SCALES, target, unit.rounding, bits, bias)
    codes = simulated.evaluate(given)["code"] & (target.code_count - 1)
    return codes, wanted.ravel().astype(np.int64)


def test_the_cases_shift_both_ways() -> None:
    """To the left, to the right and not at all; of every kind of code."""
    assert any(left for unit, _, _ in CASES for left, _ in unit.shifts)
    assert any(pair == (0, 0) for unit, _, _ in CASES for pair in unit.shifts)
    assert {target for _, target, _ in CASES} == set(TARGETS)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_every_accumulator_in_every_channel(number: int) -> None:
    need("iverilog")
    found, wanted = found_and_wanted(number, build(CASES[number][0].module(), "iverilog"))
    assert len(wanted) == len(SCALES) << ACC_BITS
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("name", PLANTED)
def test_planted_bug_is_caught(name: str) -> None:
    need("iverilog")
    found, wanted = found_and_wanted(0, build(planted(name), "iverilog"))
    assert not np.array_equal(found, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(map(str, pq.RequantizeRounding)))
def test_real_widths(mode: str) -> None:
    """Accumulators of 20 bits, multipliers of 31 and 64 channels: random and at the corners."""
    need("yosys", "g++")
    rng = np.random.default_rng(3)
    scales, target = np.exp(rng.uniform(-11.5, -6.9, 64)), pq.Uniform(8, 0.02, signed=False, zero_point=113)
    unit = ChannelRequantizerUnit.of(scales, target, 20, mode)
    half = 1 << 19
    acc = rng.integers(-half, half, (4000, 64))
    acc[:6] = np.array([[-half, half - 1, 0, 1, -1, half // 2]]).T
    (simulated,) = compile_modules([unit.module()])
    given = {"acc": acc.ravel(), "channel": np.tile(np.arange(64), len(acc))}
    assert np.array_equal(simulated.evaluate(given)["code"], pq.requantize(acc, scales, target, mode).ravel())


def test_what_cannot_be_built_is_refused() -> None:
    by = pq.Requantizer.of(0.3, 31)
    with pytest.raises(ValueError, match="1 to 4096"):
        ChannelRequantizerUnit(())
    with pytest.raises(ValueError, match="the roundings half_away, half_even; a unit has one"):
        ChannelRequantizerUnit((by, replace(by, rounding="half_even")))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the zero point of an unsigned code of 8 bits"):
        ChannelRequantizerUnit((by,), signed=False, zero_point=-1)
    with pytest.raises(ValueError, match="works in int32"):
        ChannelRequantizerUnit((pq.Requantizer.of(0.1, 31, "tflite_double"),), acc_bits=33)
    with pytest.raises(TypeError, match="requantizers must be"):
        ChannelRequantizerUnit((3,))  # type: ignore[arg-type]
