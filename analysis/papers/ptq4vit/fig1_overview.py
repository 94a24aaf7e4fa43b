"""Fig. 1: an overview of PTQ4ViT, drawn from the real structure of a network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from matplotlib.patches import FancyBboxPatch, Rectangle

from ptqsim import ptq

from ...framework import style
from ...framework.artifact import Figure
from ...framework.frame import Data, Frame
from ...framework.workload import Workload

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_BLOCK: Final = re.compile(r"^(.*blocks\.\d+)\.(.+)$")
_PATCH_HEIGHT: Final = 0.19
_STEP: Final = 0.29
_COLORS: Final = {"uniform": style.PALE, "softmax": style.SKY, "gelu": style.GREEN}
_BEFORE: Final = {"softmax": "softmax", "gelu": "GELU"}


@dataclass(frozen=True)
class Overview(Figure):
    """No options: the picture is of the model that is named."""

    name: ClassVar[str] = "ptq4vit.fig1"
    title: ClassVar[str] = "Overview: what PTQ4ViT quantizes, and how"

    def compute(self, workload: Workload) -> Data:
        """One row per quantized product, in the order of execution; ``block`` is empty outside of the blocks."""
        quantized = ptq.QuantizedModel(workload.network)
        quantized(workload.calibration_images[:1])  # attention products know their depth after a run
        rows = []
        for name, layer in quantized.layers.items():
            found = _BLOCK.match(name)
            a_groups, b_groups = layer.groups
            row = {
                "layer": name,
                "block": found and found[1],
                "part": found[2] if found else name,
                "kind": layer.kind,
                "a": layer.a_kind,
                "b": "weight" if layer.constant_b is not None else "activation",
                "depth": layer.depth,
                "a_scales": a_groups,
                "b_scales": b_groups,
            }
            rows.append(row)
        return {"operations": Frame.of_rows(rows)}

    def render(self, data: Data) -> Drawing:
        """The network on the left, one of its blocks on the right, the two phases of calibration below."""
        operations = data["operations"]
        blocks = [block for block in operations.distinct("block") if block is not None]
        block = operations.where(block=blocks[len(blocks) // 2])
        lines = list(_lines(block))
        height = _STEP * (len(lines) + 1) + 0.58
        figure, (axes,) = style.panels(height=height)
        axes.set_xlim(0, style.COLUMN)
        axes.set_ylim(-height, 0)
        axes.axis("off")
        self._network(axes, operations, blocks, -0.3 - _STEP * (len(lines) - 1) - 0.1)
        top = -0.3
        axes.text(2.0, -0.1, blocks[len(blocks) // 2], ha="center", va="center", fontsize=8)
        for index, (text, color, note) in enumerate(lines):
            y = top - _STEP * index
            _box(axes, 2.0, y, 1.1, text, color)
            if note:
                axes.text(2.6, y, note, ha="left", va="center", fontsize=7)
            if index:
                _arrow(axes, 2.0, y + _STEP - _PATCH_HEIGHT / 2, y + _PATCH_HEIGHT / 2)
        bottom = top - _STEP * len(lines) - 0.02
        self._legend(axes, bottom)
        return figure

    def _network(self, axes: Axes, operations: Frame, blocks: list[str], foot: float) -> None:
        first = operations.column("block").index(blocks[0])
        last = len(operations) - 1 - operations.column("block")[::-1].index(blocks[-1])
        rows = operations.records()
        outside = [[row["part"] for row in rows[:first]], [row["part"] for row in rows[last + 1 :]]]
        names = ["image", *outside[0], None, *outside[1], "logits"]
        axes.text(0.62, -0.1, "network", ha="center", va="center", fontsize=8)
        for index, name in enumerate(names):
            y = -0.3 - 1.5 * _STEP * index
            if name is None:
                text = f"{len(blocks)} blocks"
                for shift in (0.05, 0.025, 0.0):
                    _box(axes, 0.62 + shift, y + shift, 1.0, text if not shift else "", "white")
                # what is drawn on the right
                for side, end in ((0.1, -0.2), (-0.1, foot)):
                    axes.plot([1.19, 1.4], [y + side, end], color=style.GREY, linewidth=0.5, linestyle=(0, (2, 2)))
            else:
                quantized = name not in ("image", "logits")
                _box(axes, 0.62, y, 1.0, name, style.PALE if quantized else "none")
            if index:
                stack = 0.05 if name is None else 0.0
                _arrow(axes, 0.62, y + 1.5 * _STEP - _PATCH_HEIGHT / 2, y + _PATCH_HEIGHT / 2 + stack)

    def _legend(self, axes: Axes, y: float) -> None:
        labels = {"uniform": "uniform $A$, $B$", "softmax": "twin $A$: softmax", "gelu": "twin $A$: GELU"}
        for index, (kind, label) in enumerate(labels.items()):
            x = 0.12 + 1.08 * index
            axes.add_patch(Rectangle((x, y - 0.05), 0.12, 0.1, facecolor=_COLORS[kind], edgecolor="none"))
            axes.text(x + 0.17, y, label, ha="left", va="center", fontsize=7)
        phases = (
            r"1. forward, backward: keep $A$, $B$ and $\partial L/\partial O$ of every product $O=AB$",
            r"2. search $\Delta_A$, $\Delta_B$ of every product by the Hessian guided metric",
        )
        for index, phase in enumerate(phases):
            axes.text(0.05, y - 0.22 - 0.2 * index, phase, ha="left", va="center", fontsize=7)


def _lines(block: Frame) -> Iterator[tuple[str, str, str]]:
    """Boxes of a block from the input to the output: text, color, and what stands beside."""
    for row in block.records():
        if row["a"] in _BEFORE:
            yield _BEFORE[row["a"]], "none", ""
        name = {"matmul_qk": "$QK^T$", "matmul_pv": "$PV$"}.get(row["kind"], row["part"])
        yield name, _COLORS[row["a"]], f"$K={row['depth']}$"


def _box(axes: Axes, x: float, y: float, width: float, text: str, color: str) -> None:
    """A box around a center, in inches; without a color it is something that stays in floating point."""
    style_of: dict[str, Any] = {"facecolor": color, "edgecolor": style.BLACK, "linewidth": 0.6}
    if color == "none":
        style_of |= {"edgecolor": "none"}
    corner = (x - width / 2, y - _PATCH_HEIGHT / 2)
    axes.add_patch(FancyBboxPatch(corner, width, _PATCH_HEIGHT, boxstyle="round,pad=0,rounding_size=0.03", **style_of))
    axes.text(x, y, text, ha="center", va="center", fontsize=7)


def _arrow(axes: Axes, x: float, start: float, end: float) -> None:
    look: Any = {"arrowstyle": "-|>", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 5}
    axes.annotate("", (x, end), (x, start), arrowprops={**look, "color": style.BLACK})
