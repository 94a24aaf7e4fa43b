"""Golden vectors of integer units: inputs, every intermediate value and codes, in files for hardware and C benches.

All values come from the reference, and the codes are compared with those of the kernel.
"""

from ptqsim.golden.of_units.checking import UnitReport, check_unit
from ptqsim.golden.of_units.directory import write_unit
from ptqsim.golden.of_units.stimuli import rows_for
from ptqsim.golden.of_units.vectors import UnitVectors, compute_unit

__all__ = ["UnitReport", "UnitVectors", "check_unit", "compute_unit", "rows_for", "write_unit"]
