"""Every family of formats at every width: accuracy, and the registers that its products need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..framework.artifact import Table
from ..framework.frame import Data
from ..framework.text_table import Printed
from .compared import Compared
from .families import family


@dataclass(frozen=True)
class FormatAccuracy(Compared, Table):
    """Options as of :class:`~analysis.formats.compared.Compared`."""

    name: ClassVar[str] = "formats.accuracy"
    title: ClassVar[str] = "Number formats: accuracy and safe registers"

    def printed(self, data: Data) -> Printed:
        """One line per family and width."""
        rows = [
            (
                f"{row['stored_bits']:g}",
                family(row["family"]).entry.label.replace("$\\sqrt{2}$", "√2"),
                _with_error(row["value"], row["standard_error"]),
                f"{row['kl']:.4f} ± {row['kl_standard_error']:.4f}",
                _bits(row["register_by_type"]),
                _bits(row["register"]),
            )
            for row in sorted(data["points"].records(), key=lambda row: -row["stored_bits"])
        ]
        images = data["points"].column("images")[0]
        first = data["points"].records()[0]
        metric, unit = ("Top-1", " in percent") if first["metric"] == "top1" else (first["metric"], "")
        note = (
            "Bits are those that are stored of each value, of weights and activations alike, with scales of blocks; "
            "other scales are searched by PTQ4ViT's objective. "
            f"{metric}{unit}, of the float network {data['float'].column(first['metric'])[0]:.2f}, and KL(float || "
            f"quantized) in nats, each with the standard error of the images, on {images:,} validation images by fake "
            "quantization. Registers: bits of the widest accumulator of any layer that no input can overflow, by the "
            "data types alone, and by the tightest theorem, which knows the weights and that softmax rows sum to one; "
            "products of blocks are summed in float32."
        )
        columns = ("Bits", "Formats", metric, "KL", "Register by types", "Register")
        return Printed(self.title, columns, tuple(rows), (note,))


def _bits(width: int | None) -> str:
    return "float32" if width is None else str(width)


def _with_error(value: float, error: float | None) -> str:
    return f"{value:.2f}" if error is None else f"{value:.2f} ± {error:.2f}"
