"""Small floats that have a name: OCP's FP8, FP6 and FP4, and FP8 with 3 exponent bits."""

from __future__ import annotations

from typing import Final

from ptqsim.formats.floats.minifloat import Minifloat

E4M3: Final = Minifloat(4, 3, special="fn")
"""FP8 of OFP8 1.0 with 4 exponent bits: up to 448."""

E5M2: Final = Minifloat(5, 2, special="ieee")
"""FP8 of OFP8 1.0 with 5 exponent bits: up to 57344, and infinity."""

E3M4: Final = Minifloat(3, 4, special="ieee")
"""FP8 with 3 exponent bits, as in LLVM, StableHLO and ml_dtypes: up to 15.5, and infinity."""

E3M2: Final = Minifloat(3, 2)
"""FP6 of MX 1.0 with 3 exponent bits: up to 28."""

E2M3: Final = Minifloat(2, 3)
"""FP6 of MX 1.0 with 2 exponent bits: up to 7.5."""

E2M1: Final = Minifloat(2, 1)
"""FP4 of MX 1.0: 0, 0.5, 1, 1.5, 2, 3, 4 and 6, and their negatives."""
