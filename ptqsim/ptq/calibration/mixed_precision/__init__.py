"""Mixed precision: a width for every MSA and MLP module, for a given model size (Liu et al. section 3.3)."""

from ptqsim.ptq.calibration.mixed_precision.allocate import Allocation as Allocation
from ptqsim.ptq.calibration.mixed_precision.assign import assign_bits as assign_bits
from ptqsim.ptq.calibration.mixed_precision.options import MixedPrecision as MixedPrecision
