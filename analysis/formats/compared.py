"""Options and points that the table and the picture of formats share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..framework.artifact import Artifact
from ..framework.frame import Data, concatenate
from ..framework.points import UnitOfWork
from ..framework.workload import Workload
from ..methods.point import MethodPoint
from .families import FAMILIES, family
from .point import FormatPoint


@dataclass(frozen=True)
class Compared(Artifact):
    """Options.

    Attributes
    ----------
    families : tuple of str
        By the names of :data:`analysis.formats.families.FAMILIES`.
    widths : tuple of int
        Widths of weights and activations; a family is shown at those that it has.
    images : int
        Validation images.
    """

    families: tuple[str, ...] = tuple(FAMILIES)
    widths: tuple[int, ...] = (8, 6, 5, 4, 3)
    images: int = 1000

    def __post_init__(self) -> None:
        for name in self.families:
            family(name)

    def points(self) -> Iterator[FormatPoint]:
        """Every family at every width that it has, in the order of the table."""
        for name in self.families:
            yield from (FormatPoint(name, bits, self.images) for bits in self.widths if bits in family(name).widths)

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """Every point."""
        yield from ((workload, point) for point in self.points())

    def compute(self, workload: Workload) -> Data:
        """One row per family and width, and the float network's."""
        found = [point.data(workload)["point"] for point in self.points()]
        return {"points": concatenate(found), "float": MethodPoint(None, None, self.images).data(workload)["point"]}
