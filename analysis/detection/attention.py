"""Post-softmax values of DETR: the encoder's and decoder's self-attention, and cross-attention, which is new in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ..framework import style
from ..framework.artifact import Figure
from ..framework.frame import Data, Frame, concatenate
from ..framework.workload import Workload
from .source import of_detector

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_KINDS: Final = {
    "encoder.layers": ("encoder", "Encoder, self", style.ORANGE, (0, (4, 1.5))),
    "self_attn": ("decoder", "Decoder, self", style.BLUE, "-"),
    "encoder_attn": ("cross", "Decoder, cross", style.VERMILION, (0, (6, 1))),
}
"""By a part of an operation's name: key, label, color and line; the first that fits."""
_DECADES: Final = 8


@dataclass(frozen=True)
class Attention(Figure):
    """Options: the number of bins of each decade."""

    bins: int = 4
    name: ClassVar[str] = "detection.attention"
    title: ClassVar[str] = "Post-softmax values of DETR's self-attention and cross-attention"
    networks: ClassVar[tuple[str, ...]] = ("detector",)

    def key(self, workload: Workload) -> dict[str, Any]:
        """Of the detector."""
        return Figure.key(self, of_detector(workload))

    def compute(self, workload: Workload) -> Data:
        """Shares of the values in logarithmic bins from 1e-8 to 1, and of the probability that lies in each bin."""
        frames, kinds = [], []
        edges = np.logspace(-_DECADES, 0, _DECADES * self.bins + 1)
        with of_detector(workload) as source:
            values: dict[str, list[NDArray[np.float64]]] = {key: [] for key, *_ in _KINDS.values()}
            keys: dict[str, int] = {}
            for name, op in source.operations.items():
                if op.a_kind == "softmax":
                    kind = next(key for part, (key, *_) in _KINDS.items() if part in name)
                    a = source.captured[name].a
                    values[kind].append(a.flatten().numpy().astype(np.float64))
                    keys[kind] = a.shape[-1]
        for kind, parts in values.items():
            found = np.concatenate(parts)
            inside = np.clip(found, edges[0], 1.0)  # what is less stands in the first bin
            count, _ = np.histogram(inside, edges)
            mass, _ = np.histogram(inside, edges, weights=found)
            frames.append(
                Frame.of(
                    {
                        "kind": kind, "left": edges[:-1], "right": edges[1:], "share": count / len(found),
                        "mass": mass / found.sum(),
                    }
                )
            )  # fmt: skip
            kinds.append(
                {
                    "kind": kind, "keys": keys[kind], "values": len(found), "largest": float(found.max()),
                    "below_2^-8": float((found < 2**-8).mean()), "above_1/2": float((found > 0.5).mean()),
                }
            )  # fmt: skip
        return {"distribution": concatenate(frames), "kinds": Frame.of_rows(kinds)}

    def render(self, data: Data) -> Drawing:
        """Left how many values, right how much of the probability."""
        figure, panels = style.panels(1, 2, height=1.75, width=style.DOUBLE)
        labels = ("share of values", "share of probability")
        for axes, column, label in zip(panels, ("share", "mass"), labels, strict=True):
            for key, name, color, line in _KINDS.values():
                shown = data["distribution"].where(kind=key)
                number = data["kinds"].where(kind=key).column("keys")[0]
                edges = [*shown.column("left"), shown.column("right")[-1]]
                axes.stairs(
                    shown.values(column), edges, color=color, linestyle=line, linewidth=1.0,
                    label=f"{name} ({number} keys)", baseline=None,
                )  # fmt: skip
            axes.set_xscale("log")
            axes.set_xlim(10.0**-_DECADES, 1)
            axes.set_ylim(0)
            axes.set_xlabel("post-softmax value")
            axes.set_ylabel(label)
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=3)
        return figure
