"""Fig. 5: what each metric and the task loss say about one scaling factor, and what following the metric costs.

The task loss is the paper's L = CE(y_hat, y_FP) (section 3.3 and its footnote), with y_FP the float network's
probabilities: the expected loss if these are right, which no quantization lowers.  The loss by the true labels is
measured beside it; on as few images it is noise to a good part, as its standard errors show.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

import ptqsim as pq
from ptqsim import ptq
from ptqsim.common.progress import Progress
from ptqsim.errors import unknown_name
from ptqsim.ptq.evaluation.operand_loss import product_replaced
from ptqsim.ptq.network.products.fake_quant import fake_quantize
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.network.tasks.gradients import random_gradient
from ptqsim.ptq.search.candidates import group_max
from ptqsim.ptq.search.objectives import find_objective

from ...framework import style
from ...framework.artifact import IllustratedTable
from ...framework.frame import Data, Frame, concatenate
from ...framework.points import UnitOfWork
from ...framework.text_table import Printed
from ...framework.workload import Workload

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

Side = Literal["a", "b"]
Curve = NDArray[np.float64]
LOSSES: Final = ("task_loss", "label_loss")
"""CE against the float network's probabilities, and against the true labels."""


@dataclass(frozen=True)
class Metrics(IllustratedTable):
    """Options.

    Attributes
    ----------
    operands : tuple of str
        ``layer:a`` (left operand, an activation) or ``layer:b`` (right operand, a weight or an activation); three kinds
        of operation in the middle of the network if empty.
    metrics : tuple of str
        Objectives of the scale search, and the control ``random``: the Hessian guided metric with standard normal
        values in place of the gradient.
    bits : int
        Width of the one operand that is quantized.
    low, high : float
        Range of the normalized scale.
    points : int
        Scales tried.
    images : int
        Validation images of both losses.
    """

    operands: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ("mse", "cosine", "pearson", "hessian", "random")
    bits: int = 4
    low: float = 0.2
    high: float = 1.2
    points: int = 26
    images: int = 256
    name: ClassVar[str] = "ptq4vit.fig5"
    title: ClassVar[str] = "Metrics and task loss against the normalized scaling factor of one operand"

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if metric != "random":
                find_objective(metric)

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """One part per operand."""
        yield from ((workload, part) for part in self._parts(workload))

    def _parts(self, workload: Workload) -> list[Metrics]:
        quantized = ptq.QuantizedModel(workload.network)
        chosen = self.operands or default_operands(workload)
        for operand in chosen:
            parse_operand(operand, quantized)
        return [replace(self, operands=(operand,)) for operand in chosen]

    def compute(self, workload: Workload) -> Data:
        """Curves of every metric and of the task loss, and the loss at each metric's choice; kept by operand."""
        if len(self.operands) != 1:
            found = [part.data(workload) for part in self._parts(workload)]
            return {frame: concatenate([part[frame] for part in found]) for frame in ("curves", "choices")}
        (operand,) = self.operands
        quantized = ptq.QuantizedModel(workload.network)
        layer, side = parse_operand(operand, quantized)
        with workload.progress(f"Fig. 5, {operand}", "scale") as report:
            return self._one_operand(workload, quantized, operand, layer, side, report)

    def _one_operand(
        self,
        workload: Workload,
        quantized: ptq.QuantizedModel,
        operand: str,
        layer: MatmulOperation,
        side: Side,
        progress: Progress,
    ) -> Data:
        data = workload.captured[layer.name]
        generator = torch.Generator().manual_seed(workload.seed)
        control = replace(data, grad=random_gradient(data.out, generator))
        maxima = group_max(getattr(data, side))
        ratios = np.linspace(self.low, self.high, self.points)
        target = workload.evaluated(None, "float", self.images).logits.double().softmax(dim=1)
        found = {metric: np.empty(len(ratios)) for metric in self.metrics}
        losses: dict[str, list[Curve]] = {loss: [] for loss in LOSSES}
        for i, ratio in enumerate(ratios):
            formats = self._formats(ratio, maxima)
            out_hat = _output(data, side, formats)
            for metric in self.metrics:
                objective, seen = ("hessian", control) if metric == "random" else (metric, data)
                found[metric][i] = find_objective(objective)(seen, out_hat).mean()
            with one_operand_quantized(layer, side, formats):
                run = ptq.evaluate(quantized, workload.validation, limit=self.images, batch=32)
            for loss, truth in zip(LOSSES, (target, run.labels), strict=True):
                losses[loss].append(F.cross_entropy(run.logits.double(), truth, reduction="none").numpy())
            progress(i + 1, len(ratios))
        by_image = {loss: np.stack(curve) for loss, curve in losses.items()}  # [scales, images]
        found |= {loss: values.mean(axis=1) for loss, values in by_image.items()}
        return {
            "curves": Frame.of_rows(_curve_rows(operand, ratios, found)),
            "choices": Frame.of_rows(_choice_rows(operand, ratios, found, by_image)),
        }

    def _formats(self, ratio: float, maxima: list[float]) -> tuple[pq.Uniform, ...]:
        """One uniform format per group: scale = ratio * max / 2^(k-1), rounded to float32 as in the search."""
        return tuple(
            pq.Uniform(bits=self.bits, scale=float(np.float32(ratio * top / 2 ** (self.bits - 1)))) for top in maxima
        )

    def printed(self, data: Data) -> Printed:
        """Loss of each metric's choice, by operand."""
        rows: list[tuple[str, ...]] = []
        for operand in data["choices"].distinct("operand"):
            rows.append((operand, "", "", ""))
            for row in data["choices"].where(operand=operand).records():
                costs = [f"{1e3 * row[f'{loss}_excess']:.2f} ± {1e3 * row[f'{loss}_error']:.2f}" for loss in LOSSES]
                rows.append((f"  {style.NAMES[row['metric']]}", f"{row['scale']:.3f}", *costs))
        notes = (
            f"One operand quantized alone, to {self.bits} bits. Scale: normalized. Losses: 10⁻³ nats above that of the "
            f"best scale, with the standard error over {self.images} images.",
        )
        columns = ("Side, metric", "Scale", *(style.NAMES[loss] for loss in LOSSES))
        return Printed("The scale that each metric chooses, and what the choice costs", columns, tuple(rows), notes)

    def render(self, data: Data) -> Drawing:
        """Above, each curve from 0 (its best) to 1 (its worst), its best marked; below, what following it costs."""
        operands = data["curves"].distinct("operand")
        columns = len(operands)
        # one operand fits a column, three fit both; more than that are for a screen
        width = style.COLUMN if columns == 1 else max(style.DOUBLE, 2.3 * columns)
        figure, axes = style.panels(
            2, columns, width=width, height=3.2, sharey="row", gridspec_kw={"height_ratios": [3, 1.1]}
        )
        for upper, lower, operand in zip(axes[:columns], axes[columns:], operands, strict=True):
            choices = data["choices"].where(operand=operand)
            _draw_curves(upper, data["curves"].where(operand=operand), choices)
            _draw_costs(lower, choices)
            upper.set_title(_operand_label(operand))
            side = operand.rpartition(":")[2].upper()
            upper.set_xlabel(rf"$\Delta\,/\,({side}_{{\max}}/2^{{k-1}})$")
        axes[0].set_ylabel("distance, normalized")
        axes[columns].invert_yaxis()  # shared by the whole row
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3 if columns == 1 else len(labels))
        return figure


def default_operands(workload: Workload) -> tuple[str, ...]:
    """Three kinds of operation from the middle of the network: an fc1 input, qkv weights, the left operand of QK^T."""
    kinds: dict[str, list[str]] = {}
    for name, layer in workload.operations.items():
        kinds.setdefault("fc1" if name.endswith("fc1") else layer.kind, []).append(name)
    picks = (("fc1", "a"), ("qkv", "b"), ("matmul_qk", "a"))
    return tuple(f"{kinds[kind][len(kinds[kind]) // 2]}:{side}" for kind, side in picks if kind in kinds)


def parse_operand(operand: str, quantized: ptq.QuantizedModel) -> tuple[MatmulOperation, Side]:
    """Layer and side of ``layer:a`` or ``layer:b``; a ValueError if there is no such operand."""
    name, _, side = operand.rpartition(":")
    if side not in ("a", "b"):
        raise unknown_name("operand", operand, [f"{layer}:{s}" for layer in quantized.layers for s in "ab"])
    return quantized.layer(name), "a" if side == "a" else "b"


@contextmanager
def one_operand_quantized(layer: MatmulOperation, side: Side, formats: tuple[pq.Uniform, ...]) -> Iterator[None]:
    """Run the network with one operand of one operation rounded to its formats, everything else in float."""

    def rounded(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return fake_quantize(a, formats) @ b if side == "a" else a @ fake_quantize(b, formats)

    with product_replaced(layer, rounded):
        yield


def _output(data: ptq.OperationData, side: Side, formats: tuple[pq.Uniform, ...]) -> torch.Tensor:
    if side == "a":
        return torch.matmul(fake_quantize(data.a, formats), data.b)
    return torch.matmul(data.a, fake_quantize(data.b, formats))


def _curve_rows(operand: str, ratios: Curve, found: dict[str, Curve]) -> list[dict[str, Any]]:
    """One row per metric and scale; ``normalized`` is 0 at the curve's best scale and 1 at its worst."""
    rows = []
    for metric, distances in found.items():
        span = float(np.ptp(distances)) or 1.0
        for ratio, distance in zip(ratios, distances, strict=True):
            normalized = (distance - distances.min()) / span
            rows.append(
                {"operand": operand, "metric": metric, "scale": ratio, "distance": distance, "normalized": normalized}
            )
    return rows


def _choice_rows(
    operand: str, ratios: Curve, found: dict[str, Curve], by_image: dict[str, Curve]
) -> list[dict[str, Any]]:
    """The scale that each metric or loss would choose, and what that costs against the best scale of each loss.

    The standard error is that of the mean difference, image by image.
    """
    rows = []
    for metric, distances in found.items():
        chosen = int(distances.argmin())
        row = {"operand": operand, "metric": metric, "scale": ratios[chosen]}
        for loss, values in by_image.items():
            excess = values[chosen] - values[int(found[loss].argmin())]
            row[loss] = found[loss][chosen]
            row[f"{loss}_excess"] = excess.mean()
            row[f"{loss}_error"] = excess.std(ddof=1) / np.sqrt(len(excess))
        rows.append(row)
    return rows


def _draw_curves(axes: Axes, curves: Frame, choices: Frame) -> None:
    # what happens near the minima matters, and the worst scale is far worse: a square-root axis shows both
    axes.set_yscale("function", functions=(lambda y: np.sqrt(np.maximum(y, 0)), np.square))
    for row in choices.records():
        if row["metric"] == "label_loss":
            continue  # in the table
        look, shown = style.LOOKS[row["metric"]], curves.where(metric=row["metric"])
        scales, normalized = shown.values("scale"), shown.values("normalized")
        front = 3 if row["metric"] == "task_loss" else 2
        axes.plot(scales, normalized, color=look.color, linestyle=look.line, zorder=front)
        # hollow markers, so that those at one place are all seen
        hollow: dict[str, Any] = {"color": look.color, "marker": look.marker, "markerfacecolor": "none"}
        axes.plot([row["scale"]], [0], markersize=6, zorder=4, clip_on=False, **hollow)
        axes.plot([], [], linestyle=look.line, label=look.label, **hollow)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.01, 0.1, 0.25, 0.5, 1], ["0", "0.01", "0.1", "0.25", "0.5", "1"])


def _draw_costs(axes: Axes, choices: Frame) -> None:
    shown = [row for row in choices.records() if row["metric"] not in LOSSES]
    looks = [style.LOOKS[row["metric"]] for row in shown]
    costs = [1e3 * row["task_loss_excess"] for row in shown]
    errors = [1e3 * row["task_loss_error"] for row in shown]
    bars = axes.barh(
        range(len(shown)), costs, xerr=errors, color=[look.color for look in looks], height=0.7,
        error_kw={"elinewidth": 0.6, "capsize": 1.5, "capthick": 0.6},
    )  # fmt: skip
    axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
    axes.margins(x=0.2)
    axes.set_yticks(range(len(shown)), [look.label for look in looks])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("task loss above the best / $10^{-3}$")


def _operand_label(operand: str) -> str:
    """``blocks.3.attn.qkv:b`` as the paper writes it: ``blocks.3.attn.qkv:weight``."""
    layer, _, side = operand.rpartition(":")
    if layer.endswith("matmul_qk"):
        return f"{layer}:{'$Q$' if side == 'a' else '$K^T$'}"
    if layer.endswith("matmul_pv"):
        return f"{layer}:{'$P$' if side == 'a' else '$V$'}"
    return f"{layer}:{'activation' if side == 'a' else 'weight'}"
