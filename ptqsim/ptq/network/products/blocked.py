"""Block formats of operands, with the axis that their blocks lie along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim.formats.blocks.block import SCALE_BITS
from ptqsim.formats.registry import block_from_dict

Side: TypeAlias = Literal["a", "b"]
"""Operand of a product: the left or the right one."""

_AXES: Final = {"a": -1, "b": -2}

AnyArray: TypeAlias = pq.QuantizedArray | pq.BlockArray
"""Codes of one group of an operand."""


@dataclass(frozen=True)
class Blocked:
    """A block format of the left or right operand of a product: blocks lie along the depth (docs/blocks.md).

    Attributes
    ----------
    format : ptqsim.Block
    side : {"a", "b"}
        ``a``: the depth is the last axis, ``b``: the last but one.
    """

    kind: ClassVar[str] = "block"
    axis: ClassVar[None] = None
    """There is no scale per channel."""
    shift: ClassVar[int] = 0

    format: pq.Block
    side: Side

    @property
    def bits(self) -> int:
        """Width of the code of an element."""
        return self.format.element.bits

    @property
    def scale(self) -> float:
        """Scale of the tensor."""
        return self.format.tensor_scale

    @property
    def depth_axis(self) -> int:
        """Axis of the depth, counted from the end."""
        return _AXES[self.side]

    def encode(self, x: NDArray[Any]) -> pq.BlockArray:
        """Codes of reals, by the rule of the format."""
        return pq.quantize_blocks(x, self.format, self.depth_axis)

    def fake_quantize(self, x: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The reals that the codes stand for, in the type of ``x``."""
        rounded = np.empty_like(x) if out is None else out
        with np.errstate(over="ignore"):
            rounded[...] = self.encode(x).dequantize()
        if not np.isfinite(rounded).all():
            raise ValueError(
                f"some values in {self.format} are beyond {np.finfo(x.dtype).max:.3g}, the largest {x.dtype}; scale "
                "them down"
            )
        return rounded

    def from_packed(self, data: bytes, shape: tuple[int, ...]) -> pq.BlockArray:
        """Codes of an array of that shape, from its bytes."""
        return pq.BlockArray.from_packed(data, self.format, shape, self.depth_axis)

    def stored_bits(self, depth: int, lines: int) -> int:
        """Bits of so many rows or columns of that depth, with their scales and padding."""
        blocks = -(-depth // self.format.block) * lines
        return blocks * (SCALE_BITS + self.format.block * self.format.element.storage_bits)

    @property
    def element_name(self) -> str:
        """Name of the format of elements, in words."""
        element = self.format.element
        return element.name if isinstance(element, pq.Minifloat) else f"{element.kind} {element.bits} bit"

    def short(self) -> str:
        """The format in few characters."""
        return str(self.format)

    def to_dict(self) -> dict[str, Any]:
        """The format as plain data."""
        return {**self.format.to_dict(), "side": self.side}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Blocked:
        """The format that `to_dict` wrote.

        Raises
        ------
        ValueError
            If a field is missing or unknown, or a value is not legal.
        """
        fields = dict(data)
        side = fields.pop("side", None)
        if side not in _AXES:
            raise ValueError(f"the side of a block format is {side!r}; legal are 'a' and 'b'")
        return cls(block_from_dict(fields), side)


def plain_formats(formats: Iterable[pq.NumberFormat | Blocked]) -> tuple[pq.NumberFormat, ...]:
    """The formats, none of which is a block format; else a ValueError."""
    every = tuple(formats)
    plain = tuple(fmt for fmt in every if not isinstance(fmt, Blocked))
    if len(plain) < len(every):
        first = next(fmt for fmt in every if isinstance(fmt, Blocked))
        raise ValueError(f"{first.short()} is a block format; legal here are plain ones, such as uniform")
    return plain


def plain_codes(codes: Iterable[AnyArray]) -> list[pq.QuantizedArray]:
    """The codes, none of which are blocks; else a ValueError."""
    every = list(codes)
    plain = [one for one in every if isinstance(one, pq.QuantizedArray)]
    if len(plain) < len(every):
        raise ValueError("codes of blocks were given; legal here are codes of plain formats, such as uniform")
    return plain


def as_blocks(a: AnyArray, b: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Both operands of a product as blocks, if one of them is: the other one's codes get scales of 1."""
    if isinstance(a, pq.BlockArray) and isinstance(b, pq.QuantizedArray):
        return a, pq.BlockArray.from_plain(b, a.format.block, _AXES["b"])
    if isinstance(b, pq.BlockArray) and isinstance(a, pq.QuantizedArray):
        return pq.BlockArray.from_plain(a, b.format.block, _AXES["a"]), b
    return a, b
