"""LLVM vector operations for one machine type, in the words that the groups of `vector` need."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

# 512 bits; a processor with narrower vectors takes them in pieces.
VECTOR_BITS = 512

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
        """A vector of copies of one scalar."""
        one = self.builder.insert_element(ir.Constant(self.kind, ir.Undefined), value, ir.Constant(_INT32, 0))
        return self.builder.shuffle_vector(one, one, ir.Constant(self.counts, None))

    def load(self, pointer: Any, index: Any, kind: Any) -> Any:
        """The vector that starts at element `index`."""
        return self.builder.load(self._at(pointer, index, kind), align=4, typ=kind)

    def store(self, value: Any, pointer: Any, index: Any) -> None:
        """Put a vector where element `index` starts."""
        self.builder.store(value, self._at(pointer, index, value.type), align=4)

    def _at(self, pointer: Any, index: Any, kind: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(pointer, [index]), kind.as_pointer())

    def multiply_add(self, register: Any, x: Any, w: Any) -> Any:
        """register + x * w; in floats with one rounding or two, whichever the machine does faster."""
        if not self.is_float:
            return self.builder.add(register, self.builder.mul(x, w))
        signature = ir.FunctionType(self.kind, [self.kind] * 3)
        name = f"llvm.fmuladd.v{self.lanes}f{self.bits}"
        function = cgutils.get_or_insert_function(self.builder.module, signature, name)  # type: ignore[no-untyped-call]
        return self.builder.call(function, [x, w, register])

    def compare(self, how: str, x: Any, y: Any) -> Any:
        """A mask of the lanes in which the comparison holds."""
        return (self.builder.fcmp_ordered if self.is_float else self.builder.icmp_signed)(how, x, y)

    def larger(self, x: Any, y: Any) -> Any:
        """The larger of two values, lane by lane."""
        return self.builder.select(self.compare(">", x, y), x, y)

    def smaller(self, x: Any, y: Any) -> Any:
        """The smaller of two values, lane by lane."""
        return self.builder.select(self.compare(">", y, x), x, y)
