"""The sources of the loss: the divergence from float with one operand of one operation alone quantized."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure as Drawing

from ptqsim import ptq

from ..framework import style
from ..framework.artifact import IllustratedTable
from ..framework.frame import Data, Frame, concatenate
from ..framework.points import UnitOfWork, WorkPoint
from ..framework.text_table import Printed
from ..framework.workload import Workload
from .entries import Entry, entry
from .point import calibrated

_BLOCK: Final = re.compile(r"(?P<block>.*\.\d+)\.(?P<layer>.+)")
"""``blocks.3.attn.qkv`` is layer ``attn.qkv`` of block ``blocks.3``."""
_LEAST: Final = 1e-3
"""Part of the greatest divergence below which all cells have the same color."""


@dataclass(frozen=True)
class OperandLossPoint(WorkPoint):
    """The loss of every operand of a network calibrated in one way.

    Attributes
    ----------
    entry : Entry
    bits : int
        Of weights and activations.
    images : int
        Validation images.
    """

    kind: ClassVar[str] = "operand_loss"

    entry: Entry
    bits: int
    images: int

    def key(self, workload: Workload) -> dict[str, Any]:
        """The label of an entry decides nothing."""
        return {**workload.key(), "entry": self.entry.key(), "bits": self.bits, "images": self.images}

    def compute(self, workload: Workload) -> Data:
        """One row per operand, and one of the network with all of them quantized."""
        label = f"{self.entry.label} {style.bits_label(self.bits, self.bits)}"
        quantized = calibrated(workload, self.entry, self.bits, label)
        with workload.progress(f"{label}, alone", "operand") as report:
            losses = ptq.operand_losses(quantized, workload.validation, limit=self.images, progress=report)
        with workload.progress(f"{label}, together", "image") as report:
            found = ptq.measure(quantized, workload.validation, limit=self.images, progress=report)
        together = ptq.Mean.of(found.divergence(workload.float_outputs(self.images)))
        about = {"method": self.entry.name, "bits": self.bits}
        rows = [
            {
                **about,
                "operand": loss.operand,
                "layer": loss.layer,
                "side": loss.side,
                "is_weight": loss.is_weight,
                "kl": loss.mean.value,
                "kl_standard_error": loss.mean.standard_error,
            }
            for loss in losses
        ]
        whole = {"images": found.images, "kl": together.value, "kl_standard_error": together.standard_error}
        return {"operands": Frame.of_rows(rows), "point": Frame.of_rows([about | whole])}


@dataclass(frozen=True)
class OperandLosses(IllustratedTable):
    """Options.

    Attributes
    ----------
    method : str
        By the names of :data:`analysis.methods.entries.ENTRIES`.
    widths : tuple of int
        Of weights and activations.
    images : int
        Validation images.
    shown : int
        Operands in the table, those with the greatest loss.
    """

    method: str = "ptq4vit"
    widths: tuple[int, ...] = (8, 6)
    images: int = 128
    shown: int = 12
    name: ClassVar[str] = "methods.operand_loss"
    title: ClassVar[str] = "Divergence from float with one operand of one operation quantized"

    def __post_init__(self) -> None:
        entry(self.method)

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """One point per width."""
        yield from ((workload, point) for point in self._points())

    def _points(self) -> list[OperandLossPoint]:
        return [OperandLossPoint(entry(self.method), bits, self.images) for bits in self.widths]

    def compute(self, workload: Workload) -> Data:
        """Rows of all widths."""
        found = [point.data(workload) for point in self._points()]
        return {frame: concatenate([data[frame] for data in found]) for frame in ("operands", "point")}

    def printed(self, data: Data) -> Printed:
        """The operands that cost most, their sum, and the network with all of them quantized."""
        rows = []
        for bits in data["point"].distinct("bits"):
            operands = data["operands"].where(bits=bits)
            total = float(operands.values("kl").sum())
            ordered = sorted(operands.records(), key=lambda row: -row["kl"])
            label = style.bits_label(bits, bits)
            for row in ordered[: self.shown]:
                share = f"{100 * row['kl'] / total:.1f}"
                rows.append((label, row["operand"], _role(row), _with_error(row), share))
            rest = ordered[self.shown :]
            if rest:
                left = sum(row["kl"] for row in rest)
                rows.append((label, f"{len(rest)} others", "", _milli(left), f"{100 * left / total:.1f}"))
            rows.append((label, "sum", "", _milli(total), "100.0"))
            (whole,) = data["point"].where(bits=bits).records()
            rows.append((label, "all together", "", _with_error(whole), f"{100 * whole['kl'] / total:.1f}"))
        images = data["point"].column("images")[0]
        notes = (
            f"{entry(self.method).label}; KL(float || quantized) in nats, a mean over {images:,} validation images "
            "with its standard error. The formats are those of the calibration of the whole network. Share: of the "
            "sum, in percent; losses of operands quantized together do not simply add.",
        )
        return Printed(self.title, ("Bits", "Operand", "Holds", "KL / 10⁻³", "Share"), tuple(rows), notes)

    def render(self, data: Data) -> Drawing:
        """One picture per width: blocks from left to right, operands from top to bottom."""
        operands = data["operands"]
        places = {row["operand"]: _place(row) for row in operands.records()}
        blocks = list(dict.fromkeys(block for block, _ in places.values()))
        lines = _sorted_lines(places)
        widths = operands.distinct("bits")
        figure, axes = style.panels(
            1, len(widths), width=style.DOUBLE, height=0.145 * len(lines) + 0.9, sharey=True
        )  # fmt: skip
        greatest = operands.values("kl").max()
        norm = LogNorm(_LEAST * greatest, greatest)
        for panel, bits in zip(axes, widths, strict=True):
            values = np.full((len(lines), len(blocks)), np.nan)
            for row in operands.where(bits=bits).records():
                block, line = places[row["operand"]]
                values[lines.index(line), blocks.index(block)] = max(row["kl"], _LEAST * greatest)
            image = panel.imshow(values, aspect="auto", cmap="viridis", norm=norm, interpolation="nearest")
            panel.set_facecolor(style.PALE)
            panel.set_title(style.bits_label(bits, bits))
            panel.set_xticks(range(len(blocks)), [_short(block) for block in blocks])
            for tick in panel.get_xticklabels():
                tick.set_rotation(0 if tick.get_text().isdecimal() else 90)
            panel.tick_params(length=0)
            panel.set_xlabel("block")
        axes[0].set_yticks(range(len(lines)), lines)
        _color_bar(figure, image, axes)
        return figure


def _color_bar(figure: Drawing, image: Any, axes: list[Axes]) -> None:
    bar = figure.colorbar(image, ax=list(axes), extend="min", pad=0.01, fraction=0.03)
    bar.set_label("KL(float || quantized) / nats")


def _role(row: dict[str, Any]) -> str:
    return "weight" if row["is_weight"] else "activation"


def _with_error(row: dict[str, Any]) -> str:
    return f"{_milli(row['kl'])} ± {_milli(row['kl_standard_error'])}"


def _milli(nats: float) -> str:
    return f"{1e3 * nats:.3f}"


def _place(row: dict[str, Any]) -> tuple[str, str]:
    """Column and line of an operand: its block, and its layer in the block with what it holds."""
    found = _BLOCK.fullmatch(row["layer"])
    block, layer = found.group("block", "layer") if found else (row["layer"], "the layer")
    if layer.endswith("matmul_qk"):
        return block, f"{layer.removesuffix('matmul_qk')}$QK^T$: {'$Q$' if row['side'] == 'a' else '$K$'}"
    if layer.endswith("matmul_pv"):
        return block, f"{layer.removesuffix('matmul_pv')}$PV$: {'$P$' if row['side'] == 'a' else '$V$'}"
    return block, f"{layer}: {_role(row)}"


def _sorted_lines(places: dict[str, tuple[str, str]]) -> list[str]:
    """Lines in the order of the operands, those of layers in no block last."""
    lines = dict.fromkeys(line for _, line in places.values())
    return sorted(lines, key=lambda line: line.startswith("the layer"))


def _short(block: str) -> str:
    """``3`` for ``blocks.3``, ``0.1`` for ``layers.0.blocks.1``, the last name of a layer in no block."""
    numbers = re.findall(r"\.(\d+)", block)
    if numbers and block.endswith(numbers[-1]):
        return ".".join(numbers)
    return next(part for part in reversed(block.split(".")) if part not in ("proj", "fc")).removesuffix("_embed")
