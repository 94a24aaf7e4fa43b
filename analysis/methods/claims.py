"""The papers' claims about methods, each beside the control that could refute it, by the divergence from float.

Two methods are compared image by image on the same images, which tells them apart with a few hundred images where top-1
needs many thousands: what makes an image hard for both cancels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.errors import unknown_name

from ..framework import style
from ..framework.frame import Data, Frame
from ..framework.points import UnitOfWork
from ..framework.text_table import Printed
from ..framework.workload import Workload
from .draws import DrawnTable
from .entries import entry
from .point import MethodPoint

CERTAIN: Final = 2.0
"""Standard errors that a difference is away from zero where it decides a claim."""


@dataclass(frozen=True)
class Claim:
    """A statement that one method is nearer to the float network than another.

    Attributes
    ----------
    name : str
    text : str
        As printed.
    better, control : str
        Lines of :data:`analysis.methods.entries.ENTRIES`.
    """

    name: str
    text: str
    better: str
    control: str


CLAIMS: Final[dict[str, Claim]] = {
    claim.name: claim
    for claim in (
        # PTQ4ViT Tables 1 and 3, and controls that the paper has not
        Claim("ptq4vit", "PTQ4ViT beats Base PTQ", "ptq4vit", "base_ptq"),
        Claim("hessian", "the Hessian guided metric beats cosine", "ptq4vit", "ptq4vit.twin"),
        Claim("gradient", "the gradient beats random numbers in its place", "ptq4vit", "ptq4vit.random"),
        Claim("pseudo_labels", "pseudo-labels beat labels drawn from the prediction", "ptq4vit", "ptq4vit.sampled"),
        Claim("twins", "the twin formats help", "ptq4vit", "ptq4vit.hessian"),
        Claim("softmax_twin", "the twin after softmax helps", "ptq4vit", "ptq4vit.gelu"),
        Claim("gelu_twin", "the twin after GELU helps", "ptq4vit", "ptq4vit.softmax"),
        Claim("twins_alone", "twins without the Hessian lose to Base PTQ", "base_ptq", "ptq4vit.twin"),
        # options that the paper does not have
        Claim("nearest", "the nearest range after softmax helps", "ptq4vit.nearest", "ptq4vit"),
        Claim("covering", "GELU pairs that cover the negatives help", "ptq4vit.covering", "ptq4vit"),
        Claim("smoothing", "smoothing of LayerNorm's channels helps", "ptq4vit.smoothing", "ptq4vit"),
        Claim("channel", "a scale per channel of the weights helps", "ptq4vit.channel", "ptq4vit"),
        Claim("asymmetric", "zero points of activations help", "ptq4vit.asymmetric", "ptq4vit.channel"),
        Claim("twins_or_zero_points", "twins beat zero points", "ptq4vit.asymmetric", "ptq4vit.uniform"),
        Claim("reconstruction", "reconstruction helps", "reconstruct", "ptq4vit.channel"),
        Claim(
            "reconstructed_twins",
            "twins beat zero points once reconstructed",
            "reconstruct.asymmetric",
            "reconstruct.uniform",
        ),
        # Liu et al. Tables 3 and 4
        Claim("ranking", "Liu: the ranking loss helps", "liu2021.ranking", "liu2021.similarity"),
        Claim("liu_bias", "Liu: bias correction helps", "liu2021.bias", "liu2021.similarity"),
        Claim("bias", "bias correction helps PTQ4ViT", "ptq4vit.bias", "ptq4vit"),
        Claim("mixed", "mixed precision by the nuclear norm helps", "ptq4vit.mixed", "ptq4vit"),
        Claim("mixed_hessian", "mixed precision by the Hessian helps", "ptq4vit.mixed_hessian", "ptq4vit"),
    )
}
"""In the order of the table."""


@dataclass(frozen=True)
class Claims(DrawnTable):
    """Options.

    Attributes
    ----------
    claims : tuple of str
        By the names of :data:`CLAIMS`.
    """

    claims: tuple[str, ...] = tuple(CLAIMS)
    name: ClassVar[str] = "methods.claims"
    title: ClassVar[str] = "Claims about methods, and whether they hold"

    def __post_init__(self) -> None:
        for name in self.claims:
            if name not in CLAIMS:
                raise unknown_name("claim", name, CLAIMS)

    def tasks(self, workload: Workload) -> Iterator[UnitOfWork]:
        """Every method that a claim needs, at every width, on every draw."""
        for one in self.workloads(workload):
            yield from ((one, point) for _, _, point in self._points())

    def compute(self, workload: Workload) -> Data:
        """One row per model, width and claim."""
        found: dict[tuple[str, int, str], list[Data]] = {}
        for one in self.workloads(workload):
            with one:
                for method, bits, point in self._points():
                    found.setdefault((one.model, bits, method), []).append(point.data(one))
        rows = [
            {"model": model, "bits": bits, "claim": claim.name}
            | compared(found[model, bits, claim.better], found[model, bits, claim.control])
            for model in self.models
            for bits in self.widths
            for claim in self._claims()
        ]
        return {"claims": Frame.of_rows(rows)}

    def _claims(self) -> list[Claim]:
        return [CLAIMS[name] for name in self.claims]

    def _points(self) -> Iterator[tuple[str, int, MethodPoint]]:
        """Every method that a claim needs, at every width."""
        methods = dict.fromkeys(name for claim in self._claims() for name in (claim.better, claim.control))
        for bits in self.widths:
            yield from ((name, bits, MethodPoint(entry(name), bits, self.images)) for name in methods)

    def printed(self, data: Data) -> Printed:
        """Both divergences, their difference with its standard error, and the verdict."""
        rows = [
            (
                row["model"],
                style.bits_label(row["bits"], row["bits"]),
                CLAIMS[row["claim"]].text,
                f"{row['kl']:.4f}",
                f"{row['kl_control']:.4f}",
                f"{row['difference']:.4f} ± {row['standard_error']:.4f}",
                f"{row['top1_difference']:+.2f}",
                verdict(row["difference"], row["standard_error"]),
            )
            for row in data["claims"].records()
        ]
        images = data["claims"].column("images")[0]
        notes = (
            "Divergences KL(float || quantized) in nats, by fake quantization, of the method that is said to be better "
            f"and of the other one: means over {images:,} validation images and {len(self.seeds)} draws of the "
            "calibration images. Their difference is taken image by image; its standard error is that of the images "
            f"and that of the draws together. A claim holds, or fails, where it is {CERTAIN:g} standard errors below, "
            "or above, zero. Top-1: difference in points.",
        )
        columns = ("Model", "Bits", "Claim", "KL", "Other", "Difference", "Top-1", "Verdict")
        return Printed(self.title, columns, tuple(rows), notes)


def compared(better: list[Data], control: list[Data]) -> dict[str, Any]:
    """Means of two methods' divergences over draws and images, and their paired difference with its standard error.

    Parameters
    ----------
    better, control : list of data of :class:`~analysis.methods.point.MethodPoint`
        One for each draw, in the same order.
    """
    one, other = (np.stack([data["images"].values("kl") for data in found]) for found in (better, control))
    difference, error = paired(one, other)
    draws, images = one.shape
    top1 = [np.mean([data["point"].column("top1")[0] for data in found]) for found in (better, control)]
    return {
        "images": images,
        "draws": draws,
        "kl": float(one.mean()),
        "kl_control": float(other.mean()),
        "difference": difference,
        "standard_error": error,
        "draws_below_zero": int(((one - other).mean(axis=1) < 0).sum()),
        "top1_difference": float(top1[0] - top1[1]),
    }


def paired(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """Mean of paired differences, and its standard error: that of the images and that of the draws together.

    Parameters
    ----------
    one, other : float64 array of shape (draws, images)
        What two methods have on the same images. Of a single draw, the error is that of the images alone.

    Returns
    -------
    tuple of float
        NaN for the error of a single image.
    """
    difference = one - other
    draws, images = difference.shape
    error = difference.mean(axis=0).var(ddof=1) / images if images > 1 else math.nan
    if draws > 1:
        error += difference.mean(axis=1).var(ddof=1) / draws
    return float(difference.mean()), math.sqrt(error)


def verdict(difference: float, error: float) -> str:
    """``holds`` or ``fails`` where the difference is certainly below or above zero, else ``undecided``."""
    if difference < -CERTAIN * error:
        return "holds"
    return "fails" if difference > CERTAIN * error else "undecided"
