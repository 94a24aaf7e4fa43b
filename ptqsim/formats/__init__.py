"""Number formats: the meaning of stored codes, conversion from and to reals, and packing.

Nothing here multiplies or accumulates codes.
"""

from ptqsim.formats.arrays.array import QuantizedArray, quantize
from ptqsim.formats.arrays.packing import pack, packed_size, unpack
from ptqsim.formats.base import Codes, GridRange, NumberFormat
from ptqsim.formats.log2 import Log2
from ptqsim.formats.minifloat import Minifloat, SpecialValues
from ptqsim.formats.named_floats import E2M1, E2M3, E3M2, E3M4, E4M3, E5M2
from ptqsim.formats.pwlq import PWLQ
from ptqsim.formats.registry import FORMATS, from_dict
from ptqsim.formats.released import ReleasedTwinGELU, ReleasedTwinSoftmax
from ptqsim.formats.rounding import RangeChoice, RoundingMode
from ptqsim.formats.twin import GELU_MIN, TwinGELU, TwinSoftmax
from ptqsim.formats.uniform import Uniform

__all__ = [
    "E2M1", "E2M3", "E3M2", "E3M4", "E4M3", "E5M2", "FORMATS", "GELU_MIN", "PWLQ", "Codes", "GridRange", "Log2",
    "Minifloat", "NumberFormat", "QuantizedArray", "RangeChoice", "ReleasedTwinGELU", "ReleasedTwinSoftmax",
    "RoundingMode", "SpecialValues", "TwinGELU", "TwinSoftmax", "Uniform", "from_dict", "pack", "packed_size",
    "quantize", "unpack",
]  # fmt: skip
