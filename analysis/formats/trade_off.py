"""Formats against what they cost: divergence from float against stored bits, and against the register's width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from matplotlib.ticker import MaxNLocator

from ..framework import style
from ..framework.artifact import Figure
from ..framework.frame import Data
from .compared import Compared
from .families import family

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class TradeOff(Compared, Figure):
    """Options as of :class:`~analysis.formats.compared.Compared`."""

    name: ClassVar[str] = "formats.trade_off"
    title: ClassVar[str] = "Divergence from float against stored bits and safe registers"

    def render(self, data: Data) -> Drawing:
        """Both panels have the same points, with standard errors; those of one family are joined.

        Blocks are summed in float32, so that they are in the first panel only.
        """
        figure, (stored, register) = style.panels(1, 2, width=style.DOUBLE, height=2.4, sharey=True)
        points = data["points"]
        for name in points.distinct("family"):
            look, shown = family(name).look, points.where(family=name)
            for panel, cost in ((stored, "stored_bits"), (register, "register")):
                panel.errorbar(
                    shown.values(cost), shown.values("kl"), shown.values("kl_standard_error"), elinewidth=0.6,
                    color=look.color, linestyle=look.line or "none", marker=look.marker,
                    markersize=5 if look.marker == "*" else 3.5, label=look.label,
                )  # fmt: skip
        stored.set_yscale("log", nonpositive="clip")
        stored.set_ylabel("KL to float / nats")
        stored.set_xlabel("stored bits per value")
        register.set_xlabel("safe register / bits")
        for panel in (stored, register):
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        handles, labels = stored.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center")
        return figure
