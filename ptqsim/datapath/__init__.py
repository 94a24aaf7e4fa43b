"""The arithmetic of a unit on codes: its specification, its reference in Python integers, and bounds of its sums.

Nothing here is fast: compiled loops are in `ptqsim.kernels`, and `ptqsim.gemm` chooses among them.
"""

from ptqsim.datapath.order import Order, Sequential, Split, Tree
from ptqsim.datapath.spec import Accumulator, Alignment, OverflowMode, ZeroPoint
from ptqsim.datapath.statistics import FirstEvent, OverflowStatistics, PrefixRange

__all__ = [
    "Accumulator", "Alignment", "FirstEvent", "Order", "OverflowMode", "OverflowStatistics", "PrefixRange",
    "Sequential", "Split", "Tree", "ZeroPoint",
]  # fmt: skip
