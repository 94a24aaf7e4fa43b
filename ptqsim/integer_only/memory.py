"""Memory of the edges of a plan: taken while a step's output is needed, and taken again afterwards."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LINE = 64


class Block:
    """A piece of memory, and how many edges lie in it."""

    def __init__(self, size: int) -> None:
        spare = np.empty(size + _LINE, np.uint8)
        self.bytes = spare[-spare.ctypes.data % _LINE :][:size]
        self.users = 0

    def array(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """The beginning of it as an array."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        made: NDArray[Any] = self.bytes[:size].view(dtype).reshape(shape)
        return made


class Memory:
    """Blocks that are free again are taken before new ones are made."""

    def __init__(self) -> None:
        self._free: list[Block] = []

    def take(self, shape: tuple[int, ...], dtype: Any) -> tuple[Block, NDArray[Any]]:
        """An array in a block of which nothing else is used."""
        size = -(-math.prod(shape) * np.dtype(dtype).itemsize // _LINE) * _LINE
        fitting = [block for block in self._free if size <= block.bytes.size <= 2 * size]
        block = min(fitting, key=lambda one: one.bytes.size, default=None)
        if block is None:
            block = Block(size)
        else:
            self._free.remove(block)
        block.users = 1
        return block, block.array(shape, dtype)

    def release(self, block: Block) -> None:
        """One user less; without any the block is free."""
        block.users -= 1
        if not block.users:
            self._free.append(block)
