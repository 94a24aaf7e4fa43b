"""Edges of a plan: what lies between two steps, as codes with a format or as integers of a stated width."""

from __future__ import annotations

from dataclasses import dataclass

from ptqsim.formats.base import NumberFormat
from ptqsim.units.interval import of_values


@dataclass(frozen=True)
class Edge:
    """One array of integers per image, between two steps.

    Attributes
    ----------
    name : str
        Name of the step that makes it.
    shape : tuple of int
        Shape of one image's array.
    formats : tuple of NumberFormat
        Format of its codes: one, or one for each index of axis 0. Empty for integers, such as accumulators.
    bits : int
        Width of a code, or signed width of an integer, which no image makes it leave.
    scale : float or None
        Real value of one unit, where all values share one.
    """

    name: str
    shape: tuple[int, ...]
    formats: tuple[NumberFormat, ...]
    bits: int
    scale: float | None = None

    @property
    def coded(self) -> bool:
        """True for codes of a format, false for integers."""
        return bool(self.formats)

    @property
    def format(self) -> NumberFormat:
        """The format that all of its codes have; a ValueError where there is none, or more than one."""
        if len(self.formats) != 1:
            raise ValueError(f"edge {self.name!r} has {len(self.formats)} formats; take one of .formats")
        return self.formats[0]

    @property
    def aligned_bits(self) -> int:
        """Signed width of what the codes stand for, in units of their step; of integers their own width."""
        if not self.formats:
            return self.bits
        ends = [end for one in self.formats for end in (one.aligned_min, one.aligned_max)]
        seen = of_values([-1, *ends])  # signed in any case
        return seen.bits

    def __str__(self) -> str:
        what = ", ".join(dict.fromkeys(one.short() for one in self.formats)) or f"integers of {self.bits} bits"
        return f"{self.name} {list(self.shape)}: {what}"


def coded_edge(name: str, shape: tuple[int, ...], formats: tuple[NumberFormat, ...]) -> Edge:
    """An edge of codes."""
    one = len({fmt.scale for fmt in formats}) == 1
    bits = max(fmt.storage_bits for fmt in formats)
    return Edge(name, shape, formats, bits, float(formats[0].scale) if one else None)
