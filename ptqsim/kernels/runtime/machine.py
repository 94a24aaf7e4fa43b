"""The features of the processor that code is compiled for."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

import numba
from numba.core.codegen import get_host_cpu_features


def _features() -> frozenset[str]:
    """Extensions of the instruction set: those that numba compiles for, which its own settings can narrow."""
    listed: str | None = numba.config.CPU_FEATURES  # type: ignore[attr-defined]
    if listed is None:
        listed = get_host_cpu_features()
    return frozenset(feature[1:] for feature in listed.split(",") if feature.startswith("+"))


COMPILED: Final = not numba.config.DISABLE_JIT  # type: ignore[attr-defined]
"""True if loops are compiled at all."""

DOT: Final = COMPILED and {"avx512f", "avx512bw", "avx512vnni"} <= _features()
"""True if one instruction multiplies and sums groups of narrow integers in 512-bit vectors (AVX-512 VNNI)."""

# arch_prctl of Linux on x86-64, its request for a part of the machine's state, and the number of that of the tiles.
_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA = 158, 0x1023, 18


def _may_use_tiles() -> bool:
    """Ask the system for the tile registers of AMX, for this process and its threads: their state is kept on demand."""
    if not sys.platform.startswith("linux"):
        return False
    request = (ctypes.c_long(number) for number in (_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA))
    return bool(ctypes.CDLL(None).syscall(*request) == 0)


MATRIX: Final = DOT and {"amx-tile", "amx-int8"} <= _features() and _may_use_tiles()
"""True if one instruction multiplies small matrices of bytes (Intel AMX)."""

VECTOR_BITS: Final = 512 if "avx512f" in _features() else 256
"""Width of a vector; a processor with narrower ones takes it in pieces."""

PAIRS: Final = COMPILED and ("avx512bw" if VECTOR_BITS == 512 else "avx2") in _features()
"""True if one instruction multiplies pairs of int16 and adds both products in every lane of 32 bits."""

STATE_VECTORS: Final = 24 if VECTOR_BITS == 512 else 8
"""Vectors that a loop may hold from step to step; the rest of the machine's 32 or 16 are for what comes and goes."""
