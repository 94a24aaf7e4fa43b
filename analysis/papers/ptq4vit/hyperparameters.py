"""Appendix 6.4: PTQ4ViT's hyper-parameters, one changed at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

from ...framework.artifact import Table
from ...framework.frame import Data, Frame
from ...framework.points import UnitOfWork
from ...framework.style import bits_label
from ...framework.text_table import Printed
from ...framework.workload import Workload, bundled_models
from ...methods.entries import Entry
from ...methods.point import MethodPoint

_VALUES: Final[dict[str, tuple[float, ...]]] = {
    "n": (5, 10, 20, 50, 100, 200),
    "max_shift": (3, 5, 7, 9, 11, 15, 20),
    "alpha": (0.0, 0.25, 0.5, 0.75),
    "beta": (0.8, 1.0, 1.2, 1.4),
    "rounds": (1, 2, 3, 4),
}
_SYMBOLS: Final = {"n": "n", "max_shift": "largest m", "alpha": "α", "beta": "β", "rounds": "#Round"}
_CLAIMS: Final = {
    "n": "n ≥ 20 is enough (change < 0.3)",
    "max_shift": "an upper bound ≥ 15 is enough (no change)",
    "alpha": "α = 0 is appropriate",
    "beta": "β = 1 / 2^(k-1) is appropriate",
    "rounds": "little impact (change < 0.05 when #Round > 1)",
}
"""Statements of the appendix on each option; it prints no numbers for them."""


@dataclass(frozen=True)
class Hyperparameters(Table):
    """Options.

    Attributes
    ----------
    models : tuple of str
        The first bundled one by default.
    bits : int
        Of weights and activations.
    images : int
        Validation images.
    """

    models: tuple[str, ...] = field(default_factory=lambda: bundled_models()[:1])
    bits: int = 6
    images: int = 1000
    name: ClassVar[str] = "ptq4vit.hyperparameters"
    title: ClassVar[str] = "PTQ4ViT appendix 6.4: top-1 with one hyper-parameter changed"

    def key(self, workload: Workload) -> dict[str, Any]:
        """The options, and every model."""
        options = Table.key(self, replace(workload, model=self.models[0]))["options"]
        return {"options": options, "workloads": [replace(workload, model=m).key() for m in self.models]}

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """Every point."""
        for model in self.models:
            yield from ((replace(workload, model=model), point) for _, _, point in self._points())

    def _points(self) -> Iterator[tuple[str, float, MethodPoint]]:
        for option, values in _VALUES.items():
            for value in values:
                chosen = Entry("ptq4vit", f"PTQ4ViT, {option} = {value:g}", "ptq4vit", {option: value})
                yield option, value, MethodPoint(chosen, self.bits, self.images)

    def compute(self, workload: Workload) -> Data:
        """One row per model, hyper-parameter and value."""
        rows = []
        for model in self.models:
            with replace(workload, model=model) as one:
                for option, value, point in self._points():
                    found = {key: point.row(one)[key] for key in ("images", "top1", "cross_entropy")}
                    rows.append({"model": model, "option": option, "value": value, **found})
        return {"points": Frame.of_rows(rows)}

    def printed(self, data: Data) -> Printed:
        """One line per model and value."""
        rows: list[tuple[str, ...]] = []
        for row in data["points"].records():
            about = (row["model"], _SYMBOLS[row["option"]], f"{row['value']:g}")
            rows.append((*about, f"{row['top1']:.2f}", f"{row['cross_entropy']:.4f}"))
        claims = "; ".join(f"{_SYMBOLS[option]}: {claim}" for option, claim in _CLAIMS.items())
        notes = (
            f"{bits_label(self.bits, self.bits)}, {data['points'].column('images')[0]:,} validation images; all other "
            "hyper-parameters as in the paper's section 4.1 (n = 100, m to 11, α = 0, β = 1.2, 3 rounds). α and β are "
            "multiples of max / 2^(k-1).",
            f"Paper, appendix 6.4, in words: {claims}.",
        )
        return Printed(self.title, ("Model", "Option", "Value", "Top-1", "CE"), tuple(rows), notes)
