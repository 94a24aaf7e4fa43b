"""Integer registers into the result, in vector code: as much work as a short depth, if it is left to loops."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from ptqsim.kernels.codegen.geometry import COLUMNS

_LANES = 8
_LINE_BYTES = 64
_INT32, _INT64 = ir.IntType(32), ir.IntType(64)


_intrinsic: Any = intrinsic  # numba types what it is given, and not what it gives


def _generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    def constant(value: int) -> Any:
        return ir.Constant(_INT64, value)

    kinds = signature.args
    registers, correction, out = (make_array(kinds[i])(context, builder, value=values[i]) for i in (0, 1, 6))
    corrected, rows, columns, drop, first = (
        context.cast(builder, values[i], kinds[i], types.intp) for i in (2, 3, 4, 5, 7)
    )
    stride = cgutils.unpack_tuple(builder, out.shape)[-1]
    narrow = ir.IntType(kinds[0].dtype.bitwidth)
    word = ir.IntType(kinds[6].dtype.bitwidth)
    several = ir.VectorType(word, _LANES)
    # Of the bits to drop a narrower word has never had some.
    missing = builder.sub(drop, constant(64 - word.width))
    less = builder.trunc(missing, word) if word.width < 64 else missing
    changed = cgutils.alloca_once_value(builder, ir.Constant(word, 0))

    def read(pointer: Any, index: Any, kind: Any) -> Any:
        place = builder.gep(pointer, [index])
        return builder.load(builder.bitcast(place, kind.as_pointer()), align=narrow.width // 8, typ=kind)

    def convert(r: Any, column: Any, kind: Any, wide: Any, reduce: bool) -> None:
        """Subtract the correction, widen, reduce, store; `kind` and `wide` are scalars or vectors."""
        index = builder.add(builder.mul(r, constant(COLUMNS)), column)
        value = builder.sub(
            read(registers.data, index, kind), read(correction.data, builder.add(corrected, column), kind)
        )
        value = value if narrow.width == word.width else builder.sext(value, wide)
        if reduce:
            shift = less if wide is word else _splat(builder, less, several)
            kept = builder.ashr(builder.shl(value, shift), shift)
            difference = builder.xor(kept, value)
            if wide is not word:
                difference = _folded(builder, difference)
            builder.store(builder.or_(builder.load(changed), difference), changed)
            value = kept
        place = builder.gep(out.data, [builder.add(first, builder.add(builder.mul(r, stride), column))])
        builder.store(value, builder.bitcast(place, wide.as_pointer()), align=word.width // 8)

    def loops(reduce: bool) -> None:
        whole = builder.and_(columns, constant(-_LANES))
        with cgutils.for_range(builder, rows, intp=_INT64) as row:
            with cgutils.for_range_slice(builder, constant(0), whole, constant(_LANES), _INT64) as (column, _):
                convert(row.index, column, ir.VectorType(narrow, _LANES), several, reduce)
            with cgutils.for_range_slice(builder, whole, columns, constant(1), _INT64) as (column, _):
                convert(row.index, column, narrow, word, reduce)

    with builder.if_else(builder.icmp_signed("<=", missing, constant(0))) as (as_it_is, reduced):
        with as_it_is:
            loops(False)
        with reduced:
            loops(True)
    found = builder.load(changed)
    return builder.sext(found, _INT64) if word.width < 64 else found


def _splat(builder: Any, value: Any, kind: Any) -> Any:
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_INT32, _LANES), None))


def _folded(builder: Any, vector: Any) -> Any:
    """The lanes of a vector, or'ed together."""
    word = vector.type.element
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(word, [vector.type]), f"llvm.vector.reduce.or.v{_LANES}i{word.width}"
    )
    return builder.call(function, [vector])


@_intrinsic
def store(typing_context, registers, correction, corrected, rows, columns, drop, out, at):  # type: ignore[no-untyped-def]
    """Put ``registers - correction`` into a tile of `out`, int64 or int32 [..., N].

    Registers and correction are both int32 or both int16, of which the difference keeps the low bits; there is a
    correction for each column. `corrected` and `at` are the numbers of the first elements of the correction and of the
    tile. Only the low 64 - `drop` bits of each value are kept, sign included; not zero if that changed any. What is put
    into an int32 is proven to fit it.
    """
    return types.int64(registers, correction, corrected, rows, columns, drop, out, at), _generate


def _generate_fetch(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    kinds = signature.args
    out = make_array(kinds[2])(context, builder, value=values[2])
    rows, columns, at = (context.cast(builder, values[i], kinds[i], types.intp) for i in (0, 1, 3))
    size = ir.Constant(_INT64, kinds[2].dtype.bitwidth // 8)
    stride = builder.mul(cgutils.unpack_tuple(builder, out.shape)[-1], size)
    byte = ir.IntType(8).as_pointer()
    flag = _INT32
    prefetch = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag]), "llvm.prefetch.p0"
    )
    first = builder.bitcast(builder.gep(out.data, [at]), byte)
    end = builder.mul(columns, size)
    with cgutils.for_range(builder, rows, intp=_INT64) as row:
        line = builder.mul(row.index, stride)
        start, step = ir.Constant(_INT64, 0), ir.Constant(_INT64, _LINE_BYTES)
        with cgutils.for_range_slice(builder, start, end, step, _INT64) as (offset, _):
            place = builder.gep(first, [builder.add(line, offset)])
            # for writing, to stay in every cache, of data
            builder.call(prefetch, [place, flag(1), flag(3), flag(1)])
    return context.get_dummy_value()


@_intrinsic
def fetch(typing_context, rows, columns, out, at):  # type: ignore[no-untyped-def]
    """Ask for the cache lines of a tile of `out`, int64 or int32 [..., N], whose first element has the number `at`.

    The rows of a tile are short and far apart: without this its stores wait for memory.
    """
    return types.void(rows, columns, out, at), _generate_fetch
