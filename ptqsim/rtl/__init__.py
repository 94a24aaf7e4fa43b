"""SystemVerilog from the same specification as the simulator: generated, simulated, proven and synthesized.

Nothing here imports torch. The external tools (Yosys, Icarus, Verilator, z3) are called only where they are needed.
"""

from ptqsim.rtl.design import tops, write
from ptqsim.rtl.encoder.hardware import EncoderBlock
from ptqsim.rtl.encoder.run import BlockSimulation, simulate_block
from ptqsim.rtl.hardware.blocks.unit import BlockUnit
from ptqsim.rtl.hardware.pwlq import PWLQUnit
from ptqsim.rtl.hardware.requantization.channels import ChannelRequantizerUnit
from ptqsim.rtl.hardware.requantization.single import RequantizerUnit
from ptqsim.rtl.hardware.unit import Multiplier, Unit
from ptqsim.rtl.simulation.engines import ENGINES, build
from ptqsim.rtl.simulation.expected import Comparison, compare, expected
from ptqsim.rtl.simulation.matmul import HardwareResult, dot_matmul, tile_matmul
from ptqsim.rtl.simulation.run import Simulation, simulate
from ptqsim.rtl.simulation.schedule import CycleSchedule
from ptqsim.rtl.tools import MissingToolError
from ptqsim.rtl.units.hardware import UnitHardware
from ptqsim.rtl.units.run import UnitSimulation, run_unit, simulate_unit

__all__ = [
    "ENGINES",
    "BlockSimulation",
    "BlockUnit",
    "ChannelRequantizerUnit",
    "Comparison",
    "CycleSchedule",
    "EncoderBlock",
    "HardwareResult",
    "MissingToolError",
    "Multiplier",
    "PWLQUnit",
    "RequantizerUnit",
    "Simulation",
    "Unit",
    "UnitHardware",
    "UnitSimulation",
    "build",
    "compare",
    "dot_matmul",
    "expected",
    "run_unit",
    "simulate",
    "simulate_block",
    "simulate_unit",
    "tile_matmul",
    "tops",
    "write",
]  # fmt: skip
