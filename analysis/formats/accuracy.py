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
                str(row["bits"]),
                family(row["family"]).entry.label.replace("$\\sqrt{2}$", "√2"),
                f"{row['top1']:.2f}",
                f"{row['kl']:.4f} ± {row['kl_standard_error']:.4f}",
                str(row["register_by_type"]),
                str(row["register"]),
            )
            for row in sorted(data["points"].records(), key=lambda row: -row["bits"])
        ]
        images = data["points"].column("images")[0]
        note = (
            "Weights and activations have the bits that are stored of each value; scales are searched by PTQ4ViT's "
            f"objective. Top-1 in percent, of the float network {data['float'].column('top1')[0]:.2f}, and KL(float || "
            f"quantized) in nats with the standard error of the images, on {images:,} validation images by fake "
            "quantization. Registers: bits of the widest accumulator of any layer that no input can overflow, by the "
            "data types alone, and by the tightest theorem, which knows the weights and that softmax rows sum to one."
        )
        columns = ("Bits", "Formats", "Top-1", "KL", "Register by types", "Register")
        return Printed(self.title, columns, tuple(rows), (note,))
