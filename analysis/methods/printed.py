"""Top-1 of vision transformers at few bits as the authors of recent methods print it, on ImageNet.

Read from the tables of results in the authors' own repositories.  Nothing here is ever shown as a measurement of ours;
a dash is a number that is not printed there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

NETWORKS: Final = ("ViT-S", "ViT-B", "DeiT-T", "DeiT-S", "DeiT-B", "Swin-S", "Swin-B")
"""Networks of the field's common protocol, at 224 pixels."""
FLOAT: Final = (81.39, 84.54, 72.21, 79.85, 81.80, 83.23, 85.27)
"""Their top-1 in float."""


@dataclass(frozen=True)
class Printed:
    """The numbers of one method.

    Attributes
    ----------
    title : str
    source : str
        Paper.
    images : int
        Calibration images.
    preset : str or None
        The preset that is nearest to it.
    top1 : dict
        From widths of weights and activations to the top-1 of each of :data:`NETWORKS` in percent, or None.
    """

    title: str
    source: str
    images: int
    preset: str | None
    top1: dict[int, tuple[float | None, ...]] = field(hash=False)


def _numbers(text: str) -> tuple[float | None, ...]:
    found = tuple(None if word == "-" else float(word) for word in text.split())
    assert len(found) == len(NETWORKS)
    return found


PRINTED: Final = (
    Printed(
        "RepQ-ViT", "Li et al., ICCV 2023", 32, "repq_vit",
        {
            6: _numbers("80.43 83.62 70.76 78.90 81.27 82.79 -"),
            4: _numbers("65.05 68.48 57.43 69.03 75.61 79.45 -"),
        },
    ),
    Printed(
        "AdaLog", "Wu et al., ECCV 2024", 32, "adalog",
        {
            6: _numbers("80.91 84.80 71.38 79.39 81.55 83.19 85.09"),
            4: _numbers("72.75 79.68 63.52 72.06 78.03 80.77 82.47"),
            3: _numbers("13.88 37.91 31.56 24.47 57.47 64.41 69.75"),
        },
    ),
    Printed(
        "AdaLog with BRECQ", "Wu et al., ECCV 2024", 1024, None,
        {
            4: _numbers("77.25 83.13 67.14 76.36 80.20 81.99 83.82"),
            3: _numbers("62.50 76.73 48.78 63.24 74.99 76.01 78.82"),
        },
    ),
    Printed(
        "APHQ-ViT", "Wu et al., CVPR 2025", 1024, None,
        {
            4: _numbers("76.07 82.41 66.66 76.40 80.21 81.81 83.42"),
            3: _numbers("63.17 76.31 55.42 68.76 76.30 76.10 78.14"),
        },
    ),
    Printed(
        "FIMA-Q", "Wu et al., CVPR 2025", 1024, "fima_q",
        {
            4: _numbers("76.68 83.04 66.84 76.87 80.33 81.82 83.60"),
            3: _numbers("64.09 77.63 55.55 69.13 76.54 77.26 78.82"),
        },
    ),
)  # fmt: skip
"""In the order of their years."""
