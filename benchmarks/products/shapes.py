"""Shapes of products in a vision transformer of 197 tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Shape:
    """A batch of products [batch, rows, depth] @ [batch, depth, columns].

    Parameters
    ----------
    name : str
        What it is called in the report.
    batch, rows, depth, columns : int
        Its sizes.
    attention : bool, optional
        Whether both operands are activations, so that neither is kept from one call to the next.
    """

    name: str
    batch: int
    rows: int
    depth: int
    columns: int
    attention: bool = False

    @property
    def macs(self) -> int:
        """Multiplications and additions of one call."""
        return self.batch * self.rows * self.depth * self.columns

    @property
    def outputs(self) -> int:
        """Elements of the result."""
        return self.batch * self.rows * self.columns

    @property
    def title(self) -> str:
        """Name and sizes."""
        return f"{self.name} {self.batch}x({self.rows}x{self.depth}x{self.columns})"


SHAPES: Final = (
    Shape("fc1-small", 1, 197, 384, 1536),
    Shape("fc1-base", 1, 197, 768, 3072),
    Shape("QK", 6, 197, 64, 197, attention=True),
    Shape("PV", 6, 197, 197, 64, attention=True),
)

PEERS: Final = Shape("small", 1, 64, 384, 64)
"""For libraries that take a thousand times as long: a call's own cost does not count there."""

QUICK: Final = (Shape("linear", 1, 21, 64, 40), Shape("PV", 2, 17, 40, 16, attention=True))
"""Small enough for all cases in seconds: they show that everything runs and is right, not how fast it is."""

QUICK_PEERS: Final = Shape("small", 1, 8, 384, 8)
