"""Block formats that have a name: those of OCP MX 1.0 (section 5.1), and NVFP4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ptqsim.formats.blocks.block import Block, BlockScale
from ptqsim.formats.floats.named import E2M1, E2M3, E3M2, E4M3, E5M2
from ptqsim.formats.uniform import Uniform

MXINT8: Final = Block(Uniform(8, 2.0**-6))
"""Integers of 8 bits, 6 of them behind the point, in blocks of 32."""

MXFP8: Final = Block(E4M3)
"""FP8 with 4 exponent bits in blocks of 32; `MXFP8_E5M2` has 5."""

MXFP8_E5M2: Final = Block(E5M2)
"""FP8 with 5 exponent bits in blocks of 32."""

MXFP6: Final = Block(E2M3)
"""FP6 with 2 exponent bits in blocks of 32; `MXFP6_E3M2` has 3."""

MXFP6_E3M2: Final = Block(E3M2)
"""FP6 with 3 exponent bits in blocks of 32."""

MXFP4: Final = Block(E2M1)
"""FP4 in blocks of 32."""

NVFP4: Final = Block(E2M1, 16, BlockScale.E4M3)
"""FP4 in blocks of 16 whose scales are E4M3; `Block.covering` sets the scale of the tensor."""

BLOCKS: Final[Mapping[str, Block]] = {
    "mxint8": MXINT8, "mxfp8": MXFP8, "mxfp8_e5m2": MXFP8_E5M2, "mxfp6": MXFP6, "mxfp6_e3m2": MXFP6_E3M2,
    "mxfp4": MXFP4, "nvfp4": NVFP4,
}  # fmt: skip
"""The same by the names that options have."""
