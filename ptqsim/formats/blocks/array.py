"""Codes of elements and of scales, together with their block format."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common.validation import checked_integer, checked_type
from ptqsim.formats.array import QuantizedArray
from ptqsim.formats.arrays import codes as code_arrays
from ptqsim.formats.arrays.immutable import Constructed, reconstructed, sealed
from ptqsim.formats.arrays.packing import pack, packed_size, unpack
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.blocks.block import SCALE_BITS, Block, BlockScale
from ptqsim.formats.floats.minifloat import Minifloat
from ptqsim.formats.floats.named import E4M3
from ptqsim.formats.twin import TwinGELU
from ptqsim.formats.uniform import Uniform


@dataclass(frozen=True, slots=True, eq=False, repr=False, weakref_slot=True)
class BlockArray(Constructed):
    """An array in a block format: codes of elements and of scales.

    Parameters
    ----------
    codes : array_like
        Codes of the elements, [..., blocks, format.block]: the depth is cut into blocks and comes last, whatever its
        place in the array is. Both arrays are read-only, and copied unless nobody else can write to them.
    scales : array_like
        Codes of the scales, [..., blocks].
    format : Block
        The format.
    depth : int
        Length K of the axis that is cut; what the last block has beyond it is padding.
    axis : int
        Place of that axis in the shape of the array, counted from its end: -1 is the last.

    Raises
    ------
    TypeError
        If codes or scales are no integers, or another parameter has the wrong type.
    ValueError
        If codes do not fit the format, or shapes, depth and axis do not fit each other.
    """

    codes: NDArray[Any]
    scales: NDArray[Any]
    format: Block
    depth: int
    axis: int = -1

    def __post_init__(self) -> None:
        fmt = checked_type("format", self.format, Block, "such as ptqsim.MXFP8")
        codes = code_arrays.checked(self.codes, fmt.element.storage_bits)
        scales = code_arrays.checked(self.scales, SCALE_BITS if fmt.scale == BlockScale.E8M0 else SCALE_BITS - 1)
        if codes.ndim < 2 or codes.shape[-1] != fmt.block or codes.shape[:-1] != scales.shape:
            raise ValueError(
                f"codes {codes.shape} and scales {scales.shape} do not fit {fmt}: codes are [..., blocks, {fmt.block}] "
                "and scales [..., blocks]"
            )
        blocks = scales.shape[-1]
        depth = checked_integer("depth", self.depth, 0, blocks * fmt.block)
        if blocks != -(-depth // fmt.block):
            raise ValueError(f"a depth of {depth} has {-(-depth // fmt.block)} blocks of {fmt.block}, got {blocks}")
        axis = checked_integer("axis", self.axis, -scales.ndim, -1, "it is counted from the end")
        for name, value in (("codes", sealed(codes)), ("scales", sealed(scales)), ("depth", depth), ("axis", axis)):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"BlockArray(shape={self.shape}, blocks={self.scales.size}, format={self.format})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array of reals, with the depth at its place and without padding."""
        shape = list(self.scales.shape[:-1])
        shape.insert(len(shape) + 1 + self.axis, self.depth)
        return tuple(shape)

    def dequantize(self) -> NDArray[np.float64]:
        """The real values, float64, in `shape`: element times scale, which is exact, times the scale of the tensor."""
        scales = self.format.decode_scales(self.scales)[..., None]
        reals = self.format.element.decode(self.codes) * scales * self.format.tensor_scale
        flat = reals.reshape(*self.scales.shape[:-1], -1)[..., : self.depth]
        return np.ascontiguousarray(np.moveaxis(flat, -1, self.axis))

    def pack(self) -> bytes:
        """The codes of all scales, one byte each, and after them those of the elements, bit-packed; in C order."""
        return pack(self.scales, SCALE_BITS) + pack(self.codes, self.format.element.storage_bits)

    @classmethod
    def from_packed(cls, data: bytes, block_format: Block, shape: Sequence[int], axis: int = -1) -> BlockArray:
        """The inverse of `pack`.

        Parameters
        ----------
        data : bytes
            Bytes that `pack` gave.
        block_format : Block
            The format.
        shape : sequence of int
            Shape of the array of reals.
        axis : int, optional
            The axis that is cut into blocks, counted from the end.

        Raises
        ------
        TypeError
            If an argument has the wrong type.
        ValueError
            If the length of `data` is not what format and shape need, or the axis is none of the shape.
        """
        fmt = checked_type("block_format", block_format, Block, "such as ptqsim.MXFP8")
        sizes = [checked_integer("a size", size, 0, 1 << 48) for size in shape]
        axis = _checked_axis(axis, len(sizes))
        depth = sizes.pop(axis)
        outer = (*sizes, -(-depth // fmt.block))
        count, bits = math.prod(outer), fmt.element.storage_bits
        needed = count + packed_size(count * fmt.block, bits)
        if len(data) != needed:
            raise ValueError(f"{count} blocks of {fmt} take {needed} bytes, got {len(data)}; check shape and format")
        scales = unpack(data[:count], SCALE_BITS, outer)
        return cls(unpack(data[count:], bits, (*outer, fmt.block)), scales, fmt, depth, axis)

    @classmethod
    def from_plain(cls, array: QuantizedArray, block: int, axis: int = -1) -> BlockArray:
        """Codes of a plain format as blocks whose scales are all 1, so that they can be multiplied by blocks.

        Parameters
        ----------
        array : QuantizedArray
            Codes of a format of integers on one grid, with one scale, which becomes that of the tensor.
        block : int
            Codes that are taken as a block.
        axis : int, optional
            The axis along which blocks lie. A last block that is not full is padded with the code of zero.

        Raises
        ------
        TypeError
            If `array` is no `QuantizedArray`.
        ValueError
            If its values are no integers on one grid, it has a scale per channel, or the axis is none of it.
        """
        array = checked_type("array", array, QuantizedArray, "what ptqsim.quantize returns")
        fmt = as_block(array.format, block)
        axis = _checked_axis(axis, array.ndim)
        codes = np.moveaxis(array.codes, axis, -1)
        depth = codes.shape[-1]
        padding = np.broadcast_to(fmt.element.encode(0.0), (*codes.shape[:-1], -depth % fmt.block))
        blocks = -(-depth // fmt.block)
        padded = np.concatenate([codes, padding], axis=-1, dtype=codes.dtype)
        scales = np.full((*codes.shape[:-1], blocks), E4M3.encode(1.0), np.uint8)
        return cls(padded.reshape(*codes.shape[:-1], blocks, fmt.block), scales, fmt, depth, axis)


def quantize_blocks(real: ArrayLike, block_format: Block, axis: int = -1) -> BlockArray:
    """Encode reals in a block format, by the rule of docs/blocks.md.

    Parameters
    ----------
    real : array_like
        Real numbers, of one dimension or more.
    block_format : Block
        The format.
    axis : int, optional
        The axis along which blocks lie: the depth of a product, which is the last of a left operand and the last but
        one of a right operand. A last block that is not full is padded with zeros.

    Returns
    -------
    BlockArray

    Raises
    ------
    TypeError
        If `real` holds no real numbers, or `block_format` is no block format.
    ValueError
        If a value is NaN or infinite, or the axis is none of the array.
    """
    fmt = checked_type("block_format", block_format, Block, "such as ptqsim.MXFP8")
    x = code_arrays.finite(code_arrays.as_reals(real)).astype(np.float64)
    axis = _checked_axis(axis, x.ndim)
    x = np.moveaxis(x, axis, -1)
    depth = x.shape[-1]
    padded = np.concatenate([x, np.zeros((*x.shape[:-1], -depth % fmt.block))], axis=-1)
    codes, scales = fmt.encode_blocks(padded.reshape(*x.shape[:-1], -(-depth // fmt.block), fmt.block))
    return BlockArray(codes, scales, fmt, depth, axis)


def as_block(number_format: NumberFormat, block: int) -> Block:
    """The block format of `BlockArray.from_plain`: its elements have the same aligned values, and its scales are 1.

    Parameters
    ----------
    number_format : NumberFormat
        A plain format.
    block : int
        Codes that are taken as a block.

    Raises
    ------
    TypeError
        If it is no number format.
    ValueError
        If its values are no integers on one grid, or it has a scale per channel.
    """
    given = reconstructed(checked_type("number_format", number_format, NumberFormat, "such as ptqsim.Uniform(8, 0.02)"))
    if not given.shift_alignable or given.axis is not None:
        raise ValueError(
            f"codes of {given.short()} cannot be multiplied by blocks; legal are formats of integers on one grid with "
            "one scale"
        )
    scale = 1.0  # that of all others is a power of two
    if isinstance(given, Minifloat):
        given, scale = replace(given, scale=1.0, saturate=True), given.scale
    elif isinstance(given, Uniform | TwinGELU):
        given, scale = replace(given, scale=1.0), given.scale
    return Block(given, block, BlockScale.E4M3, scale)


def _checked_axis(axis: object, ndim: int) -> int:
    """The axis, counted from the end."""
    if not ndim:
        raise ValueError("an array of shape () has no axis along which blocks could lie; give it one")
    checked = checked_integer("axis", axis, -ndim, ndim - 1)
    return checked if checked < 0 else checked - ndim
