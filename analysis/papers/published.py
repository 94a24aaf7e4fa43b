"""The numbers that the two papers print in their tables, each under its paper, table, row and column.

Read from the papers' text and checked against it twice.  Nothing here is ever shown as a measurement of ours.  A dash
is a cell that the copy at hand does not let read with certainty: part of Liu et al.'s Table 1 is blurred in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Final

from ptqsim.errors import unknown_name

Row = tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """One table of a paper.

    Attributes
    ----------
    paper : str
        As cited.
    table : str
    setting : str
        What was measured on what.
    labels : tuple of str
        Headings of what names a row.
    columns : tuple of str
        Headings of the numbers.
    rows : dict
        From row labels to one number per column; None where there is none.
    """

    paper: str
    table: str
    setting: str
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    rows: dict[Row, tuple[float | None, ...]] = field(hash=False)

    @property
    def source(self) -> str:
        """Paper and table."""
        return f"{self.paper}, {self.table}"

    def value(self, row: Row, column: str) -> float | None:
        """The number in a cell; None if the paper has no such row, or nothing in it."""
        if column not in self.columns:
            raise unknown_name(f"column of {self.source}", column, self.columns)
        return self.rows[row][self.columns.index(column)] if row in self.rows else None


_PTQ4VIT: Final = "Yuan et al., PTQ4ViT (ECCV 2022)"
_LIU: Final = "Liu et al., Post-Training Quantization for Vision Transformer (NeurIPS 2021)"
_IMAGENET: Final = "ImageNet, 50,000 validation images; 32 calibration images"

_TEXTS: Final[dict[str, tuple[str, str, str, str, str, str]]] = {
    "ptq4vit.table1": (
        _PTQ4VIT, "Table 1", _IMAGENET, "Model",
        "FP32; Base PTQ W8A8; Base PTQ W6A6; PTQ4ViT W8A8; PTQ4ViT W6A6; "
        "Base PTQ W8A8 drop; Base PTQ W6A6 drop; PTQ4ViT W8A8 drop; PTQ4ViT W6A6 drop",
        """
        ViT-S/224/32: 75.99 73.61 60.14 75.58 71.90 2.38 15.8 0.41 4.08
        ViT-S/224: 81.39 80.46 70.24 81.00 78.63 0.91 11.1 0.38 2.75
        ViT-B/224: 84.54 83.89 75.66 84.25 81.65 0.64 8.87 0.29 2.89
        ViT-B/384: 86.00 85.35 46.88 85.82 83.34 0.64 39.1 0.17 2.65
        DeiT-S/224: 79.80 77.65 72.26 79.47 76.28 2.14 7.53 0.32 3.51
        DeiT-B/224: 81.80 80.94 78.78 81.48 80.25 0.85 3.01 0.31 1.55
        DeiT-B/384: 83.11 82.33 68.44 82.97 81.55 0.77 14.6 0.13 1.55
        Swin-T/224: 81.39 80.96 78.45 81.24 80.47 0.42 2.92 0.14 0.91
        Swin-S/224: 83.23 82.75 81.74 83.10 82.38 0.46 1.48 0.12 0.84
        Swin-B/224: 85.27 84.79 83.35 85.14 84.01 0.47 1.91 0.12 1.25
        Swin-B/384: 86.44 86.16 85.22 86.39 85.38 0.26 1.21 0.04 1.04
        """,
    ),
    "ptq4vit.table2": (
        _PTQ4VIT, "Table 2", "ImageNet, 50,000 validation images", "Model; Method; Bits", "Images; Size; Top-1",
        """
        DeiT-S/224, FP32, : - - 79.80
        DeiT-S/224, EasyQuant, W8A8: 1024 22.0 76.59
        DeiT-S/224, Liu, W8A8: 1024 22.0 77.47
        DeiT-S/224, Liu (MP), W8A8: 1024 22.2 78.09
        DeiT-S/224, PTQ4ViT, W8A8: 32 22.0 79.47
        DeiT-S/224, EasyQuant, W6A6: 1024 16.5 73.26
        DeiT-S/224, Liu, W6A6: 1024 16.5 74.58
        DeiT-S/224, Liu (MP), W6A6: 1024 16.6 75.10
        DeiT-S/224, PTQ4ViT, W6A6: 32 16.5 76.28
        DeiT-B/224, FP32, : - - 81.80
        DeiT-B/224, EasyQuant, W8A8: 1024 86.0 79.36
        DeiT-B/224, Liu, W8A8: 1024 86.0 80.48
        DeiT-B/224, Liu (MP), W8A8: 1024 86.8 81.29
        DeiT-B/224, PTQ4ViT, W8A8: 32 86.0 81.48
        DeiT-B/224, EasyQuant, W6A6: 1024 64.5 75.86
        DeiT-B/224, Liu, W6A6: 1024 64.5 77.02
        DeiT-B/224, Liu (MP), W6A6: 1024 64.3 77.47
        DeiT-B/224, PTQ4ViT, W6A6: 32 64.5 80.25
        DeiT-B/224, Liu (MP), W4A4: 1024 43.6 75.94
        DeiT-B/224, PTQ4ViT, W4A4: 32 43.0 60.91
        DeiT-B/224, PTQ4ViT + BC, W4A4: 32 43.0 64.39
        """,
    ),
    "ptq4vit.table3": (
        _PTQ4VIT, "Table 3", _IMAGENET, "Model; Hessian; Softmax; GELU", "W8A8; W6A6",
        """
        ViT-S/224, , , : 80.47 70.24
        ViT-S/224, ✓, , : 80.93 77.20
        ViT-S/224, ✓, ✓, : 81.11 78.57
        ViT-S/224, ✓, , ✓: 80.84 76.93
        ViT-S/224, , ✓, ✓: 79.25 74.07
        ViT-S/224, ✓, ✓, ✓: 81.00 78.63
        ViT-B/224, , , : 83.90 75.67
        ViT-B/224, ✓, , : 83.97 79.90
        ViT-B/224, ✓, ✓, : 84.07 80.76
        ViT-B/224, ✓, , ✓: 84.10 80.82
        ViT-B/224, , ✓, ✓: 83.40 78.86
        ViT-B/224, ✓, ✓, ✓: 84.25 81.65
        ViT-B/384, , , : 85.35 46.89
        ViT-B/384, ✓, , : 85.42 79.99
        ViT-B/384, ✓, ✓, : 85.67 82.01
        ViT-B/384, ✓, , ✓: 85.60 82.21
        ViT-B/384, , ✓, ✓: 84.35 80.86
        ViT-B/384, ✓, ✓, ✓: 85.89 83.19
        """,
    ),
    "ptq4vit.table4": (
        _PTQ4VIT, "Table 4", "ImageNet, 50,000 validation images; minutes on one Nvidia Tesla V100", "Model; Images",
        "W8A8; W6A6; T",
        """
        ViT-S/224/32, 32: 75.58 71.91 2
        ViT-S/224/32, 128: 75.54 72.29 5
        ViT-S/224, 32: 81.00 78.63 3
        ViT-S/224, 128: 80.99 78.44 7
        ViT-B/224, 32: 84.25 81.65 4
        ViT-B/224, 128: 84.27 81.84 13
        ViT-B/384, 32: 85.83 83.35 12
        ViT-B/384, 128: 85.81 83.84 43
        DeiT-S/224, 32: 79.47 76.28 3
        DeiT-S/224, 128: 79.41 76.51 7
        DeiT-B/224, 32: 81.48 80.25 4
        DeiT-B/224, 128: 81.54 80.30 16
        DeiT-B/384, 32: 82.97 81.55 14
        DeiT-B/384, 128: 83.01 81.67 52
        Swin-T/224, 32: 81.25 80.47 3
        Swin-T/224, 128: 81.27 80.30 9
        Swin-S/224, 32: 83.11 82.38 8
        Swin-S/224, 128: 83.15 82.38 17
        Swin-B/224, 32: 85.15 84.01 10
        Swin-B/224, 128: 85.17 84.15 23
        Swin-B/384, 32: 86.39 85.39 25
        Swin-B/384, 128: 86.36 85.45 69
        """,
    ),
    "ptq4vit.draws": (
        _PTQ4VIT, "appendix 6.4", "ImageNet, 50,000 validation images; 20 draws of 32 calibration images; the width is "
        "not named, and the means are near to those of W8A8", "Model", "Mean; Std",
        """
        ViT-S/224/32: 75.55 0.055
        ViT-S/224: 80.96 0.046
        ViT-B/224: 84.12 0.068
        DeiT-S/224: 79.45 0.094
        Swin-S/224: 83.11 0.035
        """,
    ),
    "liu2021.table1": (
        _LIU, "Table 1", "10,000 test images of CIFAR, 50,000 validation images of ImageNet; 100 calibration images of "
        "CIFAR, 1000 of ImageNet", "Model; Data; Method; Bits", "Size; Top-1",
        """
        ViT-B, CIFAR-10, Baseline, : 344 98.13
        ViT-B, CIFAR-10, Percentile, 6: 64.5 93.48
        ViT-B, CIFAR-10, Liu (MP), 6: 64.6 96.83
        ViT-B, CIFAR-10, Percentile, 8: 86.2 95.72
        ViT-B, CIFAR-10, Liu (MP), 8: 86.0 97.79
        ViT-B, CIFAR-100, Baseline, : 344 87.13
        ViT-B, CIFAR-100, Percentile, 6: 64.5 80.56
        ViT-B, CIFAR-100, Liu (MP), 6: 64.4 83.99
        ViT-B, CIFAR-100, Percentile, 8: 86.2 83.28
        ViT-B, CIFAR-100, Liu (MP), 8: 86.5 85.76
        ViT-B, ImageNet, Baseline, : 344 77.91
        ViT-B, ImageNet, Percentile, 6: 64.5 71.58
        ViT-B, ImageNet, Liu (MP), 6: 64.8 75.26
        ViT-B, ImageNet, Percentile, 8: 86.2 74.10
        ViT-B, ImageNet, Liu (MP), 8: 86.5 76.98
        ViT-L, CIFAR-10, Baseline, : 1228 97.86
        ViT-L, CIFAR-10, Percentile, 6: 230.2 93.27
        ViT-L, CIFAR-10, Liu (MP), 6: 230.2 96.09
        ViT-L, CIFAR-10, Percentile, 8: 307 94.19
        ViT-L, CIFAR-10, Liu (MP), 8: 305.8 97.90
        ViT-L, CIFAR-100, Baseline, : 1228 86.35
        ViT-L, CIFAR-100, Percentile, 6: 230.2 -
        ViT-L, CIFAR-100, Liu (MP), 6: - -
        ViT-L, CIFAR-100, Percentile, 8: - -
        ViT-L, CIFAR-100, Liu (MP), 8: - -
        ViT-L, ImageNet, Baseline, : 1228 -
        ViT-L, ImageNet, Percentile, 6: - -
        ViT-L, ImageNet, Liu (MP), 6: - -
        ViT-L, ImageNet, Percentile, 8: - -
        ViT-L, ImageNet, Liu (MP), 8: - -
        DeiT-S, ImageNet, Baseline, : - 79.8
        DeiT-S, ImageNet, Percentile, 6: 16.5 70.49
        DeiT-S, ImageNet, EasyQuant, 6: 16.5 73.26
        DeiT-S, ImageNet, Bit-Split, 6: 16.5 74.04
        DeiT-S, ImageNet, Liu, 6: 16.5 74.58
        DeiT-S, ImageNet, Liu (MP), 6: 16.6 75.10
        DeiT-S, ImageNet, Percentile, 8: 22.0 73.98
        DeiT-S, ImageNet, EasyQuant, 8: 22.0 76.59
        DeiT-S, ImageNet, Bit-Split, 8: 22.0 77.06
        DeiT-S, ImageNet, Liu, 8: 22.0 77.47
        DeiT-S, ImageNet, Liu (MP), 8: 22.2 78.09
        DeiT-B, ImageNet, Baseline, : 344 81.8
        DeiT-B, ImageNet, Percentile, 6: 64.5 73.99
        DeiT-B, ImageNet, EasyQuant, 6: 64.5 75.86
        DeiT-B, ImageNet, Bit-Split, 6: 64.5 76.39
        DeiT-B, ImageNet, Liu (MP), 4: 43.6 75.94
        DeiT-B, ImageNet, Liu, 6: 64.5 77.02
        DeiT-B, ImageNet, Liu (MP), 6: 64.3 77.47
        DeiT-B, ImageNet, Percentile, 8: 86.0 75.21
        DeiT-B, ImageNet, EasyQuant, 8: 86.0 79.36
        DeiT-B, ImageNet, Bit-Split, 8: 86.0 79.42
        DeiT-B, ImageNet, Liu, 8: 86.0 80.48
        DeiT-B, ImageNet, Liu (MP), 8: 86.8 81.29
        """,
    ),
    "liu2021.table2": (
        _LIU, "Table 2", "COCO2017", "Model; Method; Bits", "Size; mAP",
        """
        DETR, Baseline, : 164 42.0
        DETR, Percentile, 6: 30.75 37.5
        DETR, EasyQuant, 6: 30.75 39.0
        DETR, Bit-Split, 6: 30.75 38.9
        DETR, Liu, 6: 30.75 40.1
        DETR, Liu (MP), 6: 30.98 40.5
        DETR, Percentile, 8: 41.00 38.6
        DETR, EasyQuant, 8: 41.00 40.4
        DETR, Bit-Split, 8: 41.00 40.6
        DETR, Liu, 8: 41.00 41.2
        DETR, Liu (MP), 8: 41.64 41.7
        """,
    ),
    "liu2021.table3": (
        _LIU, "Table 3", "ImageNet, 50,000 validation images; 1000 calibration images",
        "Model; Similarity; Ranking; Bias; Mixed", "Size; Top-1",
        """
        ViT-B, –, –, –, –: 344 77.91
        ViT-B, ✓, ×, ×, ×: 86.2 75.42
        ViT-B, ✓, ✓, ×, ×: 86.2 75.94
        ViT-B, ✓, ×, ✓, ×: 86.2 75.81
        ViT-B, ✓, ✓, ✓, ×: 86.2 76.49
        ViT-B, ✓, ×, ×, ✓: 86.5 76.26
        ViT-B, ✓, ×, ✓, ✓: 86.5 76.61
        ViT-B, ✓, ✓, ×, ✓: 86.5 76.53
        ViT-B, ✓, ✓, ✓, ✓: 86.5 76.98
        """,
    ),
    "liu2021.table4": (
        _LIU, "Table 4", "ImageNet, 50,000 validation images; 1000 calibration images", "Model; Method",
        "Size; Time; Top-1",
        """
        ViT-B, Hessian-based: 86.7 754.6 77.01
        ViT-B, Liu (MP): 86.5 53.1 76.98
        """,
    ),
}  # fmt: skip


@cache
def published(name: str) -> Published:
    """A table by the name of ours that stands beside it."""
    if name not in _TEXTS:
        raise unknown_name("published table", name, _TEXTS)
    paper, table, setting, labels, columns, text = _TEXTS[name]
    rows = {}
    for line in text.split("\n"):
        if line.strip():
            label, _, numbers = line.partition(": ") if ": " in line else line.rpartition(":")
            row = tuple(part.strip() for part in label.split(","))
            rows[row] = tuple(None if number == "-" else float(number) for number in numbers.split())
    return Published(paper, table, setting, _split(labels), _split(columns), rows)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(";"))
