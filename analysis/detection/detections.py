"""Detections of the float detector in scenes, and at each width: pictures side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from matplotlib.patches import Rectangle

from ptqsim import ptq
from ptqsim.ptq.datasets.detection.coco import detections
from ptqsim.ptq.datasets.detection.load import DetectionData
from ptqsim.ptq.network.detr.detector import Detector

from ..framework import style
from ..framework.artifact import Figure
from ..framework.frame import Data, Frame
from ..framework.workload import Setting, Workload
from .source import of_detector

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_FLOAT: Final = "FP32"
_SIDES: Final = ("left", "top", "width", "height")
_COLORS: Final = {True: style.YELLOW, False: style.VERMILION}
"""Of boxes around what is there, and of others."""
_OVERLAP: Final = 0.5
"""Least overlap with an object of its class for a detection to be right."""


@dataclass(frozen=True)
class Detections(Figure):
    """Options.

    Attributes
    ----------
    method : str
    widths : tuple of int
        Of weights and activations.
    images : tuple of int
        Numbers of validation images.
    score : float
        Least score of a detection that is drawn.
    mode : str
        In which the calibrated network runs.
    """

    method: str = "ptq4vit"
    widths: tuple[int, ...] = (8, 6, 4)
    images: tuple[int, ...] = (10, 1, 2, 3)
    score: float = 0.5
    mode: str = "integer"
    name: ClassVar[str] = "detection.detections"
    title: ClassVar[str] = "Detections of the float network and of quantized ones"
    networks: ClassVar[tuple[str, ...]] = ("detector",)

    def key(self, workload: Workload) -> dict[str, Any]:
        """Of the detector."""
        return Figure.key(self, of_detector(workload))

    def compute(self, workload: Workload) -> Data:
        """Pixels of the scenes, objects, and what every network finds and misses."""
        rows: list[dict[str, Any]] = []
        missed: list[dict[str, Any]] = []
        with of_detector(workload) as source:
            data, network = source.validation, source.network
            if not isinstance(data, DetectionData) or not isinstance(network, Detector):
                raise ValueError(f"{self.name} is of detectors, and {source.model} is none: name --model detr_digits")
            inputs, numbers = data.read(self.images)
            truth = data.ground_truth(numbers.tolist())
            objects = [
                {"image": entry["image_id"], "label": entry["category_id"], **_box(entry["bbox"])}
                for entry in truth.annotations
            ]
            found = {_FLOAT: ptq.QuantizedModel(network)(inputs)}
            for bits in self.widths:
                quantized = source.quantized(Setting(self.method, bits, bits))
                quantized.mode = self.mode
                found[style.bits_label(bits, bits)] = quantized(inputs)
            for name, outputs in found.items():
                for image, output in zip(truth.images, outputs, strict=True):
                    free = [one for one in objects if one["image"] == image["id"]]
                    rows += self._found(name, image, output, free)
                    missed += [{"network": name, **one} for one in free]
            pre = network.preprocessing
            pixels = inputs[:, :3].permute(0, 2, 3, 1).numpy() * np.array(pre.std) + np.array(pre.mean)
        levels = np.rint(255 * pixels).clip(0, 255).astype(np.uint8)
        lines = [
            {"image": number, "row": row, "channel": channel, "hex": line.tobytes().hex()}
            for number, picture in zip(numbers.tolist(), levels, strict=True)
            for row, of_row in enumerate(picture.transpose(0, 2, 1))
            for channel, line in enumerate(of_row)
        ]
        sizes = [{"image": entry["id"], "width": entry["width"], "height": entry["height"]} for entry in truth.images]
        return {
            "detections": _frame(("network", "image", "label", "score", "right", *_SIDES), rows),
            "objects": Frame.of_rows(objects),
            "missed": _frame(("network", "image", "label", *_SIDES), missed),
            "images": Frame.of_rows(sizes),
            "pixels": Frame.of_rows(lines),
            "networks": Frame.of_rows([{"network": name} for name in found]),
        }

    def _found(
        self, network: str, image: Mapping[str, Any], output: Any, free: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """Detections, the most certain first; the objects that they find are taken out of ``free``."""
        found = detections(output, image["width"], image["height"])
        rows = []
        for score, label, (left, top, right, bottom) in zip(found.scores, found.labels, found.boxes, strict=True):
            if score < self.score:
                continue
            box = _box((left, top, right - left, bottom - top))
            fitting = [one for one in free if one["label"] == label and _overlap(one, box) >= _OVERLAP]
            best = max(fitting, key=lambda one: _overlap(one, box), default=None)
            if best is not None:
                free.remove(best)  # a second detection of it is a mistake
            rows.append(
                {
                    "network": network, "image": image["id"], "label": int(label), "score": float(score),
                    "right": best is not None, **box,
                }
            )  # fmt: skip
        return rows

    def render(self, data: Data) -> Drawing:
        """One row per network, one column per scene; dotted in white what is missed."""
        networks, images = data["networks"].column("network"), data["images"].column("image")
        side = style.DOUBLE / max(len(images), 4)
        figure, panels = style.panels(
            len(networks), len(images), width=style.DOUBLE, height=0.96 * side * len(networks)
        )
        places = iter(panels)
        for network in networks:
            for column, image in enumerate(images):
                axes = next(places)
                _picture(axes, data, image)
                for row in data["missed"].where(network=network, image=image).records():
                    _rectangle(axes, row, "white", (0, (1, 1)))
                for row in data["detections"].where(network=network, image=image).records():
                    _draw(axes, row)
                if column == 0:
                    axes.set_ylabel(network)
        return figure


def _picture(axes: Axes, data: Data, image: Any) -> None:
    lines = [np.frombuffer(bytes.fromhex(line), np.uint8) for line in data["pixels"].where(image=image).column("hex")]
    (size,) = data["images"].where(image=image).records()
    values = np.stack(lines).reshape(-1, 3, len(lines[0])).transpose(0, 2, 1)
    axes.imshow(values, extent=(0, size["width"], size["height"], 0), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw(axes: Axes, row: Mapping[str, Any]) -> None:
    """A box; solid with its class if it is right, dashed if it is not."""
    color, line = _COLORS[row["right"]], "-" if row["right"] else (0, (2, 1))
    _rectangle(axes, row, color, line)
    axes.annotate(
        str(row["label"]), (row["left"], row["top"]), xytext=(1, -1), textcoords="offset points", color="black",
        fontsize=6, ha="left", va="top", annotation_clip=True,
        bbox={"facecolor": color, "edgecolor": "none", "pad": 0.6},
    )  # fmt: skip


def _rectangle(axes: Axes, row: Mapping[str, Any], color: str, line: Any) -> None:
    corner = (row["left"], row["top"])
    axes.add_patch(
        Rectangle(corner, row["width"], row["height"], fill=False, edgecolor=color, linewidth=0.9, linestyle=line)
    )


def _box(values: Any) -> dict[str, float]:
    return dict(zip(_SIDES, map(float, values), strict=True))


def _frame(names: tuple[str, ...], rows: list[dict[str, Any]]) -> Frame:
    """These columns also if there are no rows: where nothing is found, or nothing missed."""
    return Frame(names, tuple(tuple(row[name] for name in names) for row in rows))


def _overlap(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Intersection over union."""
    sides = [
        max(0.0, min(one[a] + one[b], other[a] + other[b]) - max(one[a], other[a]))
        for a, b in (("left", "width"), ("top", "height"))
    ]
    shared = sides[0] * sides[1]
    return shared / (one["width"] * one["height"] + other["width"] * other["height"] - shared)
