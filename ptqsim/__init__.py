"""ptqsim: post-training quantization of vision transformers, simulated to the last bit of the integer datapath.

The names here need numpy, numba and scipy. Neural networks are in `ptqsim.ptq`, which needs PyTorch too.
"""

from ptqsim import profiles as profiles
from ptqsim.datapath import bounds as bounds
from ptqsim.datapath import reference as reference
from ptqsim.datapath.blocks import block_bounds as block_bounds
from ptqsim.datapath.blocks import block_reference as block_reference
from ptqsim.datapath.blocks.registers import AlignedFloat32 as AlignedFloat32
from ptqsim.datapath.blocks.registers import FixedPoint as FixedPoint
from ptqsim.datapath.blocks.registers import Float32 as Float32
from ptqsim.datapath.bounds import Bound as Bound
from ptqsim.datapath.bounds import required_bits as required_bits
from ptqsim.datapath.order import Sequential as Sequential
from ptqsim.datapath.order import Split as Split
from ptqsim.datapath.order import Tree as Tree
from ptqsim.datapath.requantization.requantize import Requantizer as Requantizer
from ptqsim.datapath.requantization.requantize import RequantizeRounding as RequantizeRounding
from ptqsim.datapath.requantization.requantize import requantize as requantize
from ptqsim.datapath.spec import Accumulator as Accumulator
from ptqsim.datapath.spec import Alignment as Alignment
from ptqsim.datapath.spec import OverflowMode as OverflowMode
from ptqsim.datapath.spec import ZeroPoint as ZeroPoint
from ptqsim.datapath.statistics import OverflowStatistics as OverflowStatistics
from ptqsim.errors import AccumulatorOverflowError as AccumulatorOverflowError
from ptqsim.formats.array import QuantizedArray as QuantizedArray
from ptqsim.formats.array import quantize as quantize
from ptqsim.formats.arrays.packing import pack as pack
from ptqsim.formats.arrays.packing import unpack as unpack
from ptqsim.formats.base import NumberFormat as NumberFormat
from ptqsim.formats.blocks.array import BlockArray as BlockArray
from ptqsim.formats.blocks.array import quantize_blocks as quantize_blocks
from ptqsim.formats.blocks.block import Block as Block
from ptqsim.formats.blocks.block import BlockScale as BlockScale
from ptqsim.formats.blocks.named import MXFP4 as MXFP4
from ptqsim.formats.blocks.named import MXFP6 as MXFP6
from ptqsim.formats.blocks.named import MXFP6_E3M2 as MXFP6_E3M2
from ptqsim.formats.blocks.named import MXFP8 as MXFP8
from ptqsim.formats.blocks.named import MXFP8_E5M2 as MXFP8_E5M2
from ptqsim.formats.blocks.named import MXINT8 as MXINT8
from ptqsim.formats.blocks.named import NVFP4 as NVFP4
from ptqsim.formats.compared.pwlq import PWLQ as PWLQ
from ptqsim.formats.floats.minifloat import Minifloat as Minifloat
from ptqsim.formats.floats.minifloat import SpecialValues as SpecialValues
from ptqsim.formats.floats.named import E2M1 as E2M1
from ptqsim.formats.floats.named import E2M3 as E2M3
from ptqsim.formats.floats.named import E3M2 as E3M2
from ptqsim.formats.floats.named import E3M4 as E3M4
from ptqsim.formats.floats.named import E4M3 as E4M3
from ptqsim.formats.floats.named import E5M2 as E5M2
from ptqsim.formats.log2 import Log2 as Log2
from ptqsim.formats.rounding import RangeChoice as RangeChoice
from ptqsim.formats.rounding import RoundingMode as RoundingMode
from ptqsim.formats.twin import TwinGELU as TwinGELU
from ptqsim.formats.twin import TwinSoftmax as TwinSoftmax
from ptqsim.formats.uniform import Uniform as Uniform
from ptqsim.gemm import Certificate as Certificate
from ptqsim.gemm import MatmulResult as MatmulResult
from ptqsim.gemm import get_num_threads as get_num_threads
from ptqsim.gemm import matmul as matmul
from ptqsim.gemm import set_num_threads as set_num_threads

__version__ = "0.1.0"
