"""Steps in one instruction: P bits in a machine register of 32, and in one of 16 that they fill or are lifted in."""

from __future__ import annotations

from typing import Any

import pytest
import z3

from tests.proofs.symbolic import prove, refute

MACHINE_BITS = 32


def clamped(total: Any, bits: int) -> Any:
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return z3.If(total > high, high, z3.If(total < low, low, total))


def wrapped(total: Any, bits: int) -> Any:
    half = 1 << (bits - 1)
    return (total + half) % (2 * half) - half


def holds(value: Any, bits: int) -> Any:
    return z3.And(-(1 << (bits - 1)) <= value, value < 1 << (bits - 1))


@pytest.mark.parametrize("bits", range(2, MACHINE_BITS + 1))
class TestScaledRegister:
    """The machine register is value * 2**scale + rest, 0 <= rest < 2**scale; products are multiples of 2**scale."""

    value, product, rest = z3.Ints("value product rest")

    def machine(self, bits: int) -> tuple[int, Any, Any]:
        scale = 1 << (MACHINE_BITS - bits)
        legal = z3.And(holds(self.value, bits), self.rest >= 0, self.rest < scale)
        return scale, self.value * scale + self.rest + self.product * scale, legal

    def test_clamp(self, bits: int) -> None:
        scale, total, legal = self.machine(bits)
        after = clamped(total, MACHINE_BITS)
        # Division rounds down, as a shift to the right does; what is left is the new rest, and again in range.
        prove(after / scale == clamped(self.value + self.product, bits), legal)
        if bits < MACHINE_BITS:
            refute(after / scale == clamped(self.value + self.product, bits), z3.And(legal.arg(0), self.rest >= -1))

    def test_wrap(self, bits: int) -> None:
        scale, total, legal = self.machine(bits)
        after = wrapped(total, MACHINE_BITS)
        prove(after == wrapped(self.value + self.product, bits) * scale, legal, self.rest == 0)
        refute(after == (self.value + self.product) * scale, legal, self.rest == 0)

    def test_event(self, bits: int) -> None:
        _, total, legal = self.machine(bits)
        differ = clamped(total, MACHINE_BITS) != wrapped(total, MACHINE_BITS)
        # Operands are int16, so a product in the machine is below 2**31.
        small = holds(self.product * (1 << (MACHINE_BITS - bits)), MACHINE_BITS)
        prove(differ == z3.Not(holds(self.value + self.product, bits)), legal, small)
        # A product of more than the machine's width would wrap all the way round and hide.
        refute(differ == z3.Not(holds(self.value + self.product, bits)), legal)

    def test_mark(self, bits: int) -> None:
        """A rest of 1 stays until a sum is clamped, and never comes back."""
        scale, total, legal = self.machine(bits)
        after = clamped(total, MACHINE_BITS)
        rest, fits = after % scale, holds(self.value + self.product, bits)
        gone = z3.Or(self.rest == 0, self.rest == scale - 1)
        if scale >= 4:
            prove((rest == 1) == fits, legal, self.rest == 1)
            prove(z3.Or(rest == 0, rest == scale - 1), legal, self.rest == 1, z3.Not(fits))
            prove(z3.Or(rest == 0, rest == scale - 1), legal, gone)
        elif scale == 2:  # with one spare bit a clamp at the upper limit leaves the mark
            refute((rest == 1) == fits, legal, self.rest == 1)


@pytest.mark.parametrize("bits", range(2, 17))
def test_filled_register(bits: int) -> None:
    """In 16 bits too the machine's limits are those of a register scaled to fill them, whatever a clamp left below."""
    value, product, rest = z3.Ints("value product rest")
    scale = 1 << (16 - bits)
    legal = z3.And(holds(value, bits), rest >= 0, rest < scale, holds(product * scale, 16))
    after = clamped(value * scale + rest + product * scale, 16)
    prove(after / scale == clamped(value + product, bits), legal)
    prove(z3.And(after % scale >= 0, after % scale < scale), legal)


@pytest.mark.parametrize("bits", range(2, 17))
def test_lifted_register(bits: int) -> None:
    """A clamp at the machine's upper limit, and one comparison with the lower one."""
    value, product = z3.Ints("value product")
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    lift = (1 << 15) - 1 - high
    legal = z3.And(holds(value, bits), holds(product, 16))
    machine = clamped(value + lift + product, 16)
    lowered = z3.If(machine > low + lift, machine, low + lift) - lift
    prove(lowered == clamped(value + product, bits), legal)
    if bits < 16:  # in 16 bits the machine's own lower limit is the right one
        refute(machine - lift == clamped(value + product, bits), legal)


def test_pairs_leave_int32_at_one_place() -> None:
    """Two products of int16 are an int32 unless all four factors are the least; mod 2**32 their sum is always right."""
    factors = z3.BitVecs("x0 w0 x1 w1", 16)
    narrow = [z3.SignExt(16, factor) for factor in factors]
    wide = [z3.SignExt(48, factor) for factor in factors]
    machine, exact = (v[0] * v[1] + v[2] * v[3] for v in (narrow, wide))
    prove(z3.Extract(31, 0, exact) == machine)
    # Each product is an int32, at most 2**30, and that for the least factors alone; so the sum is one of two such.
    product, greatest = narrow[0] * narrow[1], 1 << 30
    prove(z3.SignExt(32, product) == wide[0] * wide[1])
    prove(z3.And(product > -greatest, product <= greatest))
    prove((product == greatest) == z3.And(factors[0] == -(1 << 15), factors[1] == -(1 << 15)))
    p, q = z3.BitVecs("p q", MACHINE_BITS)
    products = z3.And(*(z3.And(one > -greatest, one <= greatest) for one in (p, q)))
    fits = z3.SignExt(32, p + q) == z3.SignExt(32, p) + z3.SignExt(32, q)
    prove(fits == z3.Not(z3.And(p == greatest, q == greatest)), products)
    refute(fits, products)


def test_bytes_by_horner() -> None:
    """Unsigned bytes with an offset, ranges by falling shift, all mod 2**32: the exact sum mod 2**32."""
    first, second, columns, shift = z3.BitVecs("first second columns shift", MACHINE_BITS)
    offset = z3.BitVecVal(128, MACHINE_BITS)
    # first and second: sums of the two ranges' products; columns: the sum of the right operand's mantissas
    horner = ((first + offset * columns) << shift) + second + offset * columns
    correction = ((offset * columns) << shift) + offset * columns
    prove(horner - correction == (first << shift) + second)
    refute(horner - offset * columns == (first << shift) + second)


def test_both_products_of_a_pair_at_once() -> None:
    """Unsigned bytes times signed ones: the sum of two, clamped once, is that of two clamped additions."""
    left, right, second = z3.Ints("left right second")
    product, legal = left * right, z3.And(left >= 0, left <= 255, right >= -128, right <= 127)
    steps = clamped(clamped(product, 16) + second, 16)
    prove(clamped(product + second, 16) == steps, legal)
    refute(clamped(product + second, 16) == steps, z3.And(left >= 0, left <= 258, right >= -128, right <= 127))
