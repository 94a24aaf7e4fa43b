"""The difference between two evaluations of the same images, and how certain it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ptqsim.ptq.evaluation.evaluate import Outputs


@dataclass(frozen=True)
class Mean:
    """The mean of a quantity over images, and its standard error.

    Attributes
    ----------
    value : float
    standard_error : float
        Standard deviation (with N - 1 in its denominator) over the root of N; NaN for one image.
    """

    value: float
    standard_error: float

    @classmethod
    def of(cls, values: torch.Tensor) -> Mean:
        """The mean of one value per image, float tensor [N]."""
        values = values.double()
        error = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        return cls(float(values.mean()), error)

    @classmethod
    def merged(cls, parts: Sequence[Mean], counts: Sequence[int]) -> Mean:
        """The mean over all images from those of parts, of which each has so many images."""
        total = sum(counts)
        value = sum(part.value * count for part, count in zip(parts, counts, strict=True)) / total
        squares = 0.0  # of the distances from the mean: those within every part, and those of the parts' means
        for part, count in zip(parts, counts, strict=True):
            within = part.standard_error**2 * count * (count - 1) if count > 1 else 0.0
            squares += within + count * (part.value - value) ** 2
        return cls(value, math.sqrt(squares / (total - 1) / total) if total > 1 else math.nan)


@dataclass(frozen=True)
class Difference:
    """Difference between two evaluations of the same images.

    Attributes
    ----------
    logits : int
        Logits that are not equal to the last bit; two NaN are equal.
    of : int
        Logits compared.
    predictions : int
        Images with a different prediction.
    images : int
        Images compared.
    largest : float
        Largest absolute difference of two logits; infinite where one of them is NaN.
    divergence : Mean
        Divergence of the first evaluation from the second one, taken as exact: KL(second || first) of a classifier, in
        nats.
    """

    logits: int
    of: int
    predictions: int
    images: int
    largest: float
    divergence: Mean

    @property
    def agreement(self) -> float:
        """Percent of images with the same prediction."""
        return 100 * (1 - self.predictions / self.images)

    @property
    def metrics(self) -> dict[str, float]:
        """Divergence, its standard error and the agreement, by name."""
        return {
            "kl": self.divergence.value,
            "kl_standard_error": self.divergence.standard_error,
            "agreement": self.agreement,
        }


def difference(one: Outputs, other: Outputs) -> Difference:
    """Compare an evaluation with another one of the same images, as a rule the float network's.

    Parameters
    ----------
    one, other : Outputs

    Raises
    ------
    ValueError
        If they are not of the same images.

    Examples
    --------
    >>> import torch
    >>> from ptqsim import ptq
    >>> labels = torch.tensor([0, 1])
    >>> exact = ptq.Evaluation(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), labels)
    >>> found = ptq.Evaluation(torch.tensor([[1.0, 0.0], [0.5, 0.0]]), labels)
    >>> gap = ptq.difference(found, exact)
    >>> gap.predictions, gap.agreement, round(gap.divergence.value, 4)
    (1, 50.0, 0.1287)
    """
    _check_images(one, other)
    # NaN is like NaN, and infinitely far from every number
    apart = one.logits != other.logits
    apart &= ~(one.logits.isnan() & other.logits.isnan())
    distance = torch.where(apart, (one.logits - other.logits).abs().nan_to_num(nan=torch.inf), 0.0)
    return Difference(
        logits=int(apart.sum()),
        of=one.logits.numel(),
        predictions=int((one.predictions != other.predictions).reshape(one.images, -1).any(dim=1).sum()),
        images=one.images,
        largest=float(distance.max()),
        divergence=Mean.of(one.divergence(other.logits)),
    )


def paired_difference(one: Outputs, other: Outputs, exact: Outputs) -> Mean:
    """The divergence of one evaluation from the float network less that of another, image by image.

    Both are of the same images, so that what makes an image hard cancels: the standard error is of the differences, and
    tells two methods apart with a few hundred images.

    Parameters
    ----------
    one, other : Outputs
        Of two quantized networks.
    exact : Outputs
        Of the float network.

    Returns
    -------
    Mean
        Negative where the first is nearer to the float network.
    """
    _check_images(one, exact)
    _check_images(other, exact)
    return Mean.of(one.divergence(exact.logits) - other.divergence(exact.logits))


def _check_images(one: Outputs, other: Outputs) -> None:
    shapes = tuple(one.logits.shape), tuple(other.logits.shape)
    if shapes[0] == shapes[1] and torch.equal(one.labels, other.labels):
        return
    why = " with other labels" if shapes[0] == shapes[1] else ""
    raise ValueError(f"logits of shapes {shapes[0]} and {shapes[1]}{why} can't be compared: evaluate the same images")
