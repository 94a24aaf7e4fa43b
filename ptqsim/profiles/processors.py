"""Profiles of instructions that multiply bytes: products alone."""

from __future__ import annotations

from ptqsim.datapath.order import Split, Tree
from ptqsim.datapath.spec import Accumulator
from ptqsim.profiles.profile import Operand, Profile

_U8 = Operand(8, signed=False, zero_point=True)
_S8 = Operand(8, signed=True, zero_point=True, channels=True)

AVX2_U8S8 = Profile(
    "AVX2_U8S8", _U8, _S8,
    Accumulator(32, "wrap", Split(2, 16, "saturate"), zero_point="correction"),
    "Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2: VPMADDUBSW, VPMADDWD with ones, VPADDD",
)  # fmt: skip
"""Pairs of products saturate in 16 bits, and their sums wrap in 32."""

VNNI_U8S8 = Profile(
    "VNNI_U8S8", _U8, _S8, Accumulator(32, "wrap", Tree(4), zero_point="correction"),
    "Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2: VPDPBUSD",
)  # fmt: skip
"""Four products are added to a register of 32 bits at once, which wraps."""

VNNI_U8S8_SATURATE = Profile(
    "VNNI_U8S8_SATURATE", _U8, _S8, Accumulator(32, "saturate", Tree(4), zero_point="correction"),
    "Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2: VPDPBUSDS",
)  # fmt: skip
"""Four products are added to a register of 32 bits at once, which saturates."""

ARM_SMLAL = Profile(
    "ARM_SMLAL", Operand(8, signed=True, zero_point=True), _S8,
    Accumulator(32, "wrap", Split(2, 16, "wrap"), zero_point="correction"),
    "Arm Architecture Reference Manual for A-profile: SMULL and SMLAL (vector, 8 to 16 bits), then SADALP",
)  # fmt: skip
"""Pairs of products wrap in 16 bits, and their sums in 32; only -128 * -128 + -128 * -128 leaves 16 bits."""
