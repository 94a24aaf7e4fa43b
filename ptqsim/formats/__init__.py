"""Number formats: the meaning of stored codes, conversion from and to reals, and packing.

Nothing here multiplies or accumulates codes.
"""

from ptqsim.formats.array import QuantizedArray, quantize
from ptqsim.formats.arrays.packing import pack, packed_size, unpack
from ptqsim.formats.base import Codes, GridRange, NumberFormat
from ptqsim.formats.blocks.array import BlockArray, quantize_blocks
from ptqsim.formats.blocks.block import Block, BlockScale
from ptqsim.formats.blocks.named import MXFP4, MXFP6, MXFP6_E3M2, MXFP8, MXFP8_E5M2, MXINT8, NVFP4
from ptqsim.formats.compared.pwlq import PWLQ
from ptqsim.formats.compared.released import ReleasedTwinGELU, ReleasedTwinSoftmax
from ptqsim.formats.floats.minifloat import Minifloat, SpecialValues
from ptqsim.formats.floats.named import E2M1, E2M3, E3M2, E3M4, E4M3, E5M2
from ptqsim.formats.log2 import Log2
from ptqsim.formats.registry import FORMATS, from_dict
from ptqsim.formats.rounding import RangeChoice, RoundingMode
from ptqsim.formats.twin import GELU_MIN, TwinGELU, TwinSoftmax
from ptqsim.formats.uniform import Uniform

__all__ = [
    "E2M1", "E2M3", "E3M2", "E3M4", "E4M3", "E5M2", "FORMATS", "GELU_MIN", "MXFP4", "MXFP6", "MXFP6_E3M2", "MXFP8",
    "MXFP8_E5M2", "MXINT8", "NVFP4", "PWLQ", "Block", "BlockArray", "BlockScale", "Codes", "GridRange", "Log2",
    "Minifloat", "NumberFormat", "QuantizedArray", "RangeChoice", "ReleasedTwinGELU", "ReleasedTwinSoftmax",
    "RoundingMode", "SpecialValues", "TwinGELU", "TwinSoftmax", "Uniform", "from_dict", "pack", "packed_size",
    "quantize", "quantize_blocks", "unpack",
]  # fmt: skip
