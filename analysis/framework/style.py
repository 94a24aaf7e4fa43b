"""One look for all figures, and one table of display names.

Sizes are those of a two-column paper.  Colors are Okabe and Ito's, which stay apart for color-blind readers; in grey
some of them meet, so no two things that share an axes differ by color alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from cycler import cycler

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN: Final = 3.3
"""Width of one column in inches."""
DOUBLE: Final = 6.9
"""Width of both columns in inches."""

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY: Final = "#8C8C8C"
PALE: Final = "#D9D9D9"

_RC: Any = {
    "font.family": "STIXGeneral",  # ships with matplotlib, so that every machine draws the same
    "mathtext.fontset": "stix",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "figure.titlesize": 8,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlepad": 4,
    "axes.labelpad": 2,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "legend.borderaxespad": 0.2,
    "legend.columnspacing": 1.2,
    "legend.labelspacing": 0.25,
    "axes.prop_cycle": cycler(color=[BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK]),
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # TrueType, as publishers ask for
    "svg.fonttype": "path",
    "svg.hashsalt": "ptqsim",  # element names from content, not from chance
}


@dataclass(frozen=True)
class Look:
    """Display name, color and line style of one thing, in every figure.

    Attributes
    ----------
    label : str
        Display name.
    color, line, marker : str
        As matplotlib takes them.
    """

    label: str
    color: str
    line: Any = "-"
    marker: str = "o"


LOOKS: Final[dict[str, Look]] = {
    # methods
    "float": Look("FP32", BLACK, (0, (1, 1)), "x"),
    "base_ptq": Look("Base PTQ", ORANGE, (0, (4, 1.5)), "s"),
    "ptq4vit": Look("PTQ4ViT", BLUE, "-", "o"),
    # metrics of the scale search, and what they stand for
    "task_loss": Look("Task loss (CE)", BLACK, "-", "*"),
    "label_loss": Look("CE by true labels", GREY, (0, (1, 1)), "+"),
    "mse": Look("MSE", SKY, (0, (1, 1)), "s"),
    "cosine": Look("Cosine", ORANGE, (0, (4, 1.5)), "D"),
    "pearson": Look("Pearson", PURPLE, (0, (4, 1.5, 1, 1.5)), "^"),
    "hessian": Look("Hessian guided", BLUE, (0, (6, 1)), "o"),
    "random": Look("Random gradient", GREEN, (0, (2, 1)), "v"),
    # number formats and their ranges
    "uniform": Look("Uniform", ORANGE, (0, (4, 1.5)), "s"),
    "twin": Look("Twin", BLUE, "-", "o"),
    "covering": Look("Twin, covering", GREEN, (0, (6, 1)), "^"),
    "free": Look("Free scales", BLACK, (0, (1, 1)), "x"),
    "log2": Look("Log2", PURPLE, (0, (4, 1.5, 1, 1.5)), "^"),
    "pwlq": Look("PWLQ", VERMILION, (0, (2, 1)), "D"),
    "softmax": Look("Twin (softmax)", BLUE, "-", "o"),
    "gelu": Look("Twin (GELU)", GREEN, "-", "^"),
    "R1": Look(r"$R_1$", BLUE, "-", "o"),
    "R2": Look(r"$R_2$", VERMILION, "-", "D"),
    # kinds of operation
    "linear": Look("Fully-connected", BLUE, "-", "o"),
    "qkv": Look("QKV projection", ORANGE, "-", "s"),
    "patch": Look("Patch projection", BLACK, "-", "x"),
    "conv": Look("Convolution", GREY, "-", "P"),
    "matmul_qk": Look("$QK^T$", GREEN, "-", "^"),
    "matmul_pv": Look("$PV$", VERMILION, "-", "D"),
    # overflow modes
    "wrap": Look("Wrap", VERMILION, (0, (4, 1.5)), "s"),
    "saturate": Look("Saturate", BLUE, "-", "o"),
    # weights that fit
    "project": Look("Fitted, projected", GREEN, (0, (6, 1)), "^"),
    "compensate": Look("Fitted, compensated", PURPLE, "-", "D"),
    # accumulator bounds
    "datatype": Look("Datatype", VERMILION, "-", "s"),
    "weight_aware": Look("Weight-aware", BLUE, (0, (4, 1.5)), "o"),
    "row_stochastic": Look("Row-stochastic", GREEN, (0, (4, 1.5, 1, 1.5)), "^"),
    "calibrated": Look("Calibrated", BLACK, (0, (1, 1)), "x"),
    "tightest": Look("Tightest theorem", BLUE, (0, (4, 1.5)), "o"),
    "observed": Look("Observed", BLACK, (0, (1, 1)), "x"),
}

NAMES: Final[dict[str, str]] = {
    **{name: look.label for name, look in LOOKS.items()},
    "fake_quant": "Fake quantization",
    "integer": "Integer",
}
"""Display name of every method, metric, format, mode and kind of operation."""


def bits_label(w_bits: int, a_bits: int) -> str:
    """W6A6: weights of 6 bits, activations of 6 bits."""
    return f"W{w_bits}A{a_bits}"


@contextmanager
def applied() -> Iterator[None]:
    """The style, for building and for saving a figure; matplotlib's own settings come back afterwards."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def panels(
    rows: int = 1, columns: int = 1, *, width: float = COLUMN, height: float = 2.0, **layout: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of axes, listed row by row; ``layout`` goes to `matplotlib.figure.Figure.subplots`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    grid = figure.subplots(rows, columns, squeeze=False, **layout)
    return figure, list(grid.flat)
