"""Whole layers of the bundled network, with its real codes, through the tile: every accumulator is equal."""

from __future__ import annotations

from dataclasses import replace

import pytest

import ptqsim as pq
from ptqsim import rtl
from ptqsim.rtl import Schedule, Unit
from ptqsim.rtl.hardware.tile import tile
from ptqsim.rtl.simulation.cxxrtl import compile_modules
from tests.conftest import HAS_MODELS
from tests.rtl.needs import need

COLUMNS = 8


@pytest.mark.slow
@pytest.mark.skipif(not HAS_MODELS, reason="the extra [models] is not installed")
def test_pv_and_fc2_of_a_block() -> None:
    need("yosys", "g++")
    from ptqsim import ptq
    from ptqsim.ptq.record import record_codes

    model = ptq.load_model("vit_digits")
    data = ptq.load_data("digits", model, split="calibration")
    quantized = ptq.calibrate(model, ptq.sample_images(data, 8, 0), method="ptq4vit", w_bits=6, a_bits=6, n=8)
    images = ptq.sample_images(data, 1, 1)
    names = [
        next(name for name, one in quantized.layers.items() if one.kind == "matmul_pv"),
        next(name for name in quantized.layers if name.endswith("fc2")),
    ]
    units, operands = [], []
    for name in names:
        a, b = (array.reshape(-1, *array.shape[-2:])[0] if array.ndim > 2 else array
                for array in record_codes(quantized, images, name))  # fmt: skip
        assert a.format.shift > 0
        needed = pq.matmul(a, b, pq.Accumulator(63)).overflow
        assert needed is not None
        for overflow, bits in (("wrap", needed.bits_needed), ("saturate", needed.bits_needed - 2)):
            accumulator = pq.Accumulator(bits, overflow)
            units.append(Unit(a.format, b.format, accumulator, depth=a.shape[1], runtime_shift=overflow == "wrap"))
            operands.append((a, b))
    compiled = compile_modules([tile(replace(unit, name="layer"), COLUMNS) for unit in units])
    for unit, (a, b), simulated in zip(units, operands, compiled, strict=True):
        found = rtl.tile_matmul(simulated, unit, COLUMNS, a, b, Schedule(1))
        comparison = rtl.compare(found, rtl.expected(a, b, unit.accumulator))
        assert comparison.equal
        assert comparison.outputs == a.shape[0] * b.shape[1]
