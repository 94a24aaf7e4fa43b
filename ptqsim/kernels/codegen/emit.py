"""LLVM vector operations for one machine type, in the words that groups of steps need."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from ptqsim.kernels.runtime.machine import DOT, VECTOR_BITS

_INT32 = ir.IntType(32)


class Emitter:
    """Writes vector instructions for values of one type through an LLVM builder."""

    def __init__(self, context: Any, builder: Any, dtype: Any) -> None:
        self.builder = builder
        self.bits = dtype.bitwidth
        self.is_float = isinstance(dtype, types.Float)
        self.lanes = VECTOR_BITS // self.bits
        self.kind = ir.VectorType(context.get_value_type(dtype), self.lanes)
        self.counts = ir.VectorType(_INT32, self.lanes)

    def splat(self, value: Any) -> Any:
        """A vector of copies of one scalar; one of 32 bits may hold two of 16."""
        lanes = self.lanes
        if value.type == _INT32 and self.bits == 16:
            lanes //= 2
        copies = self._copies(value, ir.VectorType(value.type, lanes))
        return copies if lanes == self.lanes else self.builder.bitcast(copies, self.kind)

    def _copies(self, value: Any, kind: Any) -> Any:
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(_INT32, 0))
        return self.builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_INT32, kind.count), None))

    def zero(self, kind: Any) -> Any:
        """A vector of zeros."""
        return ir.Constant(kind, None)

    def constant(self, value: int) -> Any:
        """A vector of copies of an integer constant."""
        return ir.Constant(self.kind, [value] * self.lanes)

    def variable(self, value: Any) -> Any:
        """A place that holds a vector from step to step; the optimizer makes a register of it."""
        place = cgutils.alloca_once(self.builder, value.type)
        self.builder.store(value, place)
        return place

    def load(self, pointer: Any, index: Any, kind: Any) -> Any:
        """The vector that starts at element `index`."""
        return self.builder.load(self._at(pointer, index, kind), align=4, typ=kind)

    def store(self, value: Any, pointer: Any, index: Any) -> None:
        """Put a vector where element `index` starts."""
        self.builder.store(value, self._at(pointer, index, value.type), align=4)

    def _at(self, pointer: Any, index: Any, kind: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(pointer, [index]), kind.as_pointer())

    def add(self, x: Any, y: Any) -> Any:
        """The sum, lane by lane."""
        return (self.builder.fadd if self.is_float else self.builder.add)(x, y)

    def multiply_add(self, register: Any, x: Any, w: Any) -> Any:
        """register + x * w; in floats with one rounding or two, whichever the machine does faster."""
        if not self.is_float:
            return self.builder.add(register, self.builder.mul(x, w))
        return self._call(f"llvm.fmuladd.v{self.lanes}f{self.bits}", x, w, register)

    def saturating_add(self, x: Any, y: Any) -> Any:
        """The sum of integers, clamped to what the machine type holds."""
        return self._call(f"llvm.sadd.sat.v{self.lanes}i{self.bits}", x, y)

    def dot(self, instruction: str, register: Any, x: Any, w: Any) -> Any:
        """An instruction of AVX-512 VNNI: register + the sum of the products of the narrow integers in x and w.

        ``vpdpbusd``: four unsigned bytes times four signed ones. ``vpdpwssd``: two int16 times two int16;
        ``vpdpwssds``: the same, and the sum of all three terms is clamped to int32 instead of wrapped.
        """
        return self._call(f"llvm.x86.avx512.{instruction}.512", register, x, w)

    def add_pairs(self, register: Any, x: Any, w: Any) -> Any:
        """register + the sum of the products of the two int16 in x and w, mod 2**32, without VNNI too.

        ``vpmaddwd`` adds the two products, mod 2**32 as well: of all int16 only four times -2**15 leave int32.
        """
        if DOT:
            return self.dot("vpdpwssd", register, x, w)
        halves = ir.VectorType(ir.IntType(16), 2 * self.lanes)
        name = "llvm.x86.avx512.pmaddw.d.512" if VECTOR_BITS == 512 else "llvm.x86.avx2.pmadd.wd"
        both = [self.builder.bitcast(value, halves) for value in (x, w)]
        return self.builder.add(register, self._call(name, *both, gives=self.kind))

    def add_saturated_pairs(self, register: Any, x: Any, w: Any) -> Any:
        """register + both sums of two products of an unsigned byte in x and a signed one in w, each clamped to int16.

        ``vpmaddubsw`` multiplies, adds and clamps; both sums are then added to an int32, mod 2**32.
        """
        octets = ir.VectorType(ir.IntType(8), 4 * self.lanes)
        halves = ir.VectorType(ir.IntType(16), 2 * self.lanes)
        name = "llvm.x86.avx512.pmaddubs.w.512" if VECTOR_BITS == 512 else "llvm.x86.avx2.pmadd.ub.sw"
        sums = self._call(name, *(self.builder.bitcast(value, octets) for value in (x, w)), gives=halves)
        ones = ir.Constant(halves, [1] * halves.count)
        return self.add_pairs(register, self.builder.bitcast(sums, self.kind), self.builder.bitcast(ones, self.kind))

    def _call(self, name: str, *arguments: Any, gives: Any = None) -> Any:
        signature = ir.FunctionType(gives or arguments[0].type, [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(self.builder.module, signature, name)
        return self.builder.call(function, arguments)

    def compare(self, how: str, x: Any, y: Any) -> Any:
        """A mask of the lanes in which the comparison holds."""
        return (self.builder.fcmp_ordered if self.is_float else self.builder.icmp_signed)(how, x, y)

    def larger(self, x: Any, y: Any) -> Any:
        """The larger of two values, lane by lane."""
        return self.builder.select(self.compare(">", x, y), x, y)

    def smaller(self, x: Any, y: Any) -> Any:
        """The smaller of two values, lane by lane."""
        return self.builder.select(self.compare(">", y, x), x, y)

    def shifted_back(self, value: Any, drop: Any) -> Any:
        """The low bits of integers, sign included: left by `drop` and back."""
        return self.builder.ashr(self.builder.shl(value, drop), drop)

    def one(self) -> Any:
        """Ones to count with, which the optimizer does not know to be that.

        It would turn an addition under a mask, one instruction, into two without.
        """
        return self._copies(self.hidden(ir.Constant(_INT32, 1)), self.counts)

    def hidden(self, constant: Any) -> Any:
        """A constant that the optimizer does not know."""
        return self.builder.asm(ir.FunctionType(constant.type, [constant.type]), "", "=r,0", [constant], False)

    def counted(self, count: Any, mask: Any, one: Any) -> Any:
        """The counts, one more where the mask is set."""
        return self.builder.select(mask, self.builder.add(count, one), count)
