"""The arithmetic of a unit on codes: its specification, its reference and its bounds."""

from ptqsim.datapath.order import Order, Sequential, Split, Tree
from ptqsim.datapath.spec import Accumulator, Alignment, OverflowMode
from ptqsim.datapath.statistics import FirstEvent, OverflowStatistics, PrefixRange

__all__ = [
    "Accumulator", "Alignment", "FirstEvent", "Order", "OverflowMode", "OverflowStatistics", "PrefixRange",
    "Sequential", "Split", "Tree",
]  # fmt: skip
