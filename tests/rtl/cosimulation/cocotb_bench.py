"""A test bench in Python, run by cocotb inside the simulator: the example of docs/rtl.md.

The unit and its vectors come from the specification: the bench asks ptqsim for what each result has to be.
"""

import json
import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge

from ptqsim import golden, matmul
from ptqsim.rtl import Unit


@cocotb.test()
async def results_equal_the_simulator(dut):
    unit = Unit.from_dict(json.loads((Path(os.environ["DESIGN"]) / "design.json").read_text())["unit"])
    a, b = golden.stimulus(unit.a, unit.b, 3, unit.depth, 4, seed=1)
    expected = matmul(a, b, unit.accumulator).acc.ravel().tolist()
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    dut.rst.value, dut.in_valid.value, dut.out_ready.value = 1, 0, 1
    for _ in range(2):
        await FallingEdge(dut.clk)
    dut.rst.value, found = 0, []

    async def take():
        while True:
            await RisingEdge(dut.clk)
            if dut.out_valid.value == 1:
                found.append(dut.out_result.value.to_signed())

    cocotb.start_soon(take())
    for row in a.codes.tolist():
        for column in b.codes.T.tolist():
            for step, (x, w) in enumerate(zip(row, column, strict=True)):
                dut.in_valid.value, dut.in_last.value = 1, int(step == unit.depth - 1)
                dut.a_code.value, dut.b_code.value = x, w
                await ReadOnly()
                assert dut.in_ready.value == 1
                await FallingEdge(dut.clk)
    dut.in_valid.value = 0
    for _ in range(2):
        await FallingEdge(dut.clk)
    assert found == expected
