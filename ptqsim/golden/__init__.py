"""Golden vectors: inputs and expected outputs of a datapath, in files that hardware and C test benches read.

All values come from the reference, and are compared with those of the kernels.
"""

from ptqsim.golden.block_vectors import BlockVectors, block_stimulus, compute_blocks, write_blocks
from ptqsim.golden.checking import CheckReport, Finding, check
from ptqsim.golden.directory import write
from ptqsim.golden.layout import checked_name
from ptqsim.golden.stimuli import Pattern, stimulus
from ptqsim.golden.vectors import GoldenVectors, Trapped, compute

__all__ = [
    "BlockVectors", "CheckReport", "Finding", "GoldenVectors", "Pattern", "Trapped", "block_stimulus", "check",
    "checked_name", "compute", "compute_blocks", "stimulus", "write", "write_blocks",
]  # fmt: skip
