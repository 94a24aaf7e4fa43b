"""SystemVerilog from the same specification as the simulator: generated, simulated, proven and synthesized.

Nothing here imports torch. The external tools (Yosys, Icarus, Verilator, z3) are called only where they are needed.
"""

from ptqsim.rtl.design import tops, write
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

__all__ = [
    "ENGINES",
    "BlockUnit",
    "ChannelRequantizerUnit",
    "Comparison",
    "CycleSchedule",
    "HardwareResult",
    "MissingToolError",
    "Multiplier",
    "PWLQUnit",
    "RequantizerUnit",
    "Simulation",
    "Unit",
    "build",
    "compare",
    "dot_matmul",
    "expected",
    "simulate",
    "tile_matmul",
    "tops",
    "write",
]  # fmt: skip
