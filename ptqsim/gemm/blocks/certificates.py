"""Reasons why a kernel gives the bits of a register that blocks are added in one after the other."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ptqsim.datapath.blocks import block_bounds
from ptqsim.datapath.blocks.registers import FixedPoint
from ptqsim.datapath.spec import OverflowMode, bits_for
from ptqsim.formats.blocks.block import Block
from ptqsim.gemm.blocks.product import FLOAT64, BlockProduct
from ptqsim.gemm.results.result import Certificate


class Evidence(NamedTuple):
    """Knowledge of the sums of a product before a register takes them.

    Parameters
    ----------
    certificate : Certificate
        The reason.
    certified : bool
        True if no output can overflow.
    steps : bool
        True if every step has to be taken as the register takes it.
    bound : int
        No sum over a subset of an output's terms is larger in magnitude.
    """

    certificate: Certificate
    certified: bool
    steps: bool
    bound: int

    @property
    def exact(self) -> bool | None:
        """True if no addition is changed; None if that is not known."""
        return True if self.certified else None

    def largest(self, register: FixedPoint) -> int:
        """The largest magnitude that a register has to hold."""
        return 1 << (register.bits - 1) if self.steps else self.bound


def evidence(product: BlockProduct, register: FixedPoint, counting: bool) -> Evidence:
    """The strongest certificate for a fixed-point register.

    - ``datatype``: the same for any codes of these formats, which those with E8M0 scales never are.
    - ``norms``: no subset sum of the terms leaves it, so no addition is changed.
    - ``ring_homomorphism``: wrapping commutes with addition, so the sum of all terms is wrapped once.
    - ``step_by_step``: none.
    """
    outputs, limit = product.product.outputs, (1 << (register.bits - 1)) - 1
    largest = _of_formats(product.left.format, product.right.format, product.left.depth, register)
    if largest <= limit:
        why = f"no sum of blocks exceeds {largest} in magnitude (any codes of these formats)"
        return Evidence(
            Certificate("datatype", bits_for(-largest, largest), outputs, outputs, why), True, False, largest
        )
    bound = product.bound(register.weight)
    if bound <= limit:
        why = f"no sum of blocks exceeds {bound} in magnitude (largest norms of rows and columns)"
        return Evidence(Certificate("norms", bits_for(-bound, bound), outputs, outputs, why), True, False, bound)
    if register.overflow == OverflowMode.WRAP and not counting and bound <= 1 << FLOAT64.bits:
        why = f"wrapping at every block equals one reduction of the exact sum mod 2**{register.bits}"
        return Evidence(Certificate("ring_homomorphism", register.bits, 0, outputs, why), False, False, bound)
    why = f"blocks are added one after the other in {register.bits} bits"
    return Evidence(Certificate("step_by_step", register.bits, 0, outputs, why), False, True, bound)


@lru_cache(maxsize=256)
def _of_formats(a_format: Block, b_format: Block, depth: int, register: FixedPoint) -> int:
    """The largest magnitude of any sum of terms of blocks in these formats."""
    bound = block_bounds.datatype(a_format, b_format, depth, register)
    return max(-bound.lowest, bound.highest)


def in_floats(product: BlockProduct, dtype: Any) -> Certificate:
    """The certificate of a register in float32: every value and every sum is rounded as it says."""
    outputs = product.product.outputs
    largest = product.most
    if dtype is None:
        why = "sums of blocks and scales are integers of two words, rounded where the register says so"
    else:
        why = (
            f"no sum of a block's products exceeds {largest} in magnitude, which with both scales is exact in "
            f"{np.dtype(dtype).name}, and rounded by nothing but the register"
        )
    return Certificate("step_by_step", 32, 0, outputs, why)
