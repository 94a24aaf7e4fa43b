"""Target speed of each kind of product, relative to NumPy's float32 product of the same shape."""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal[
    "exact",
    "twin",
    "pairs",
    "saturate16",
    "saturate24",
    "saturate31",
    "saturate53",
    "counted",
    "trap",
    "width",
    "relative",
    "float",
    "block",
    "block_fixed",
]

# Small floats, exact; blocks in float32 and in registers that saturate: in every shape.
_FLOATS: Final[dict[Kind, float]] = {"float": 0.5, "block": 0.4, "block_fixed": 0.2}

# "relative": wanted is a share of another datapath's speed, or nothing.
_LINEAR: Final[dict[Kind, float]] = {
    "exact": 3.0,
    "twin": 1.4,
    "pairs": 0.8,
    "saturate16": 1.1,
    "saturate24": 0.48,
    "saturate31": 0.45,
    "saturate53": 0.20,
    "counted": 0.25,  # of a register up to 31 bits
    "trap": 0.35,
    "width": 0.35,
    **_FLOATS,
}
_ATTENTION: Final[dict[Kind, float]] = {
    **_FLOATS,
    "exact": 1.5,
    "saturate16": 0.35,
    "saturate24": 0.35,
    "saturate31": 0.35,
}
# Without AVX-512: what bounds an exact product is numpy's own BLAS.
_PORTABLE: Final[dict[Kind, float]] = {
    "exact": 0.85,
    "pairs": 0.8,
    "saturate16": 0.12,
    "saturate24": 0.12,
    "saturate31": 0.12,
    "saturate53": 0.12,
}

CERTIFIED_OF_EXACT: Final = 0.9
CORRECTED_OF_EXACT: Final = 0.9
CHANNELS_OF_EXACT: Final = 0.9
REALS_OF_CHANNELS: Final = 0.95
SPLIT_OF_SEQUENTIAL: Final = 0.9
TREE_OF_SEQUENTIAL: Final = 0.5
TWO_THREADS_OF_ONE: Final = 1.7
OF_APYTYPES: Final = 600.0
COMPILE_SECONDS: Final = 20.0
START_SECONDS: Final = 1.0


def target(kind: Kind, attention: bool, portable: bool) -> float | None:
    """The target of a kind of product, None if there is none."""
    table = _PORTABLE if portable else _ATTENTION if attention else _LINEAR
    return table.get(kind)


def of_saturation(bits: int) -> Kind:
    """The kind of a saturating accumulator of some width."""
    for kind, most in (("saturate16", 16), ("saturate24", 24), ("saturate31", 31)):
        if bits <= most:
            return kind  # type: ignore[return-value]
    return "saturate53"
