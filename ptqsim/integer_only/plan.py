"""A network as a list of integer steps, from the pixels of an image to its logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.errors import ArgumentTypeError
from ptqsim.formats.arrays.given import as_array
from ptqsim.formats.uniform import Uniform
from ptqsim.integer_only.edges import Edge, coded_edge
from ptqsim.integer_only.steps import Product, Step

PIXELS = "pixels"
PIXEL_FORMAT = Uniform(bits=8, scale=1.0, signed=False)


@dataclass(frozen=True, eq=False)
class Plan:
    """Steps from images to logits, and what their ends mean.

    Attributes
    ----------
    steps : tuple of Step
        In the order of execution; the output of the last are the logits.
    image : tuple of int
        Channels, height and width of an image of 8-bit pixels.
    mean, std : tuple of float
        Normalization of the network that the plan was made from, per channel, for pixels from 0 to 1; it is part of
        the first product, and said here for those who have normalized images.
    logit_scale : float
        Real value of one unit of a logit.

    Raises
    ------
    ValueError
        If a step takes an edge that is not there, of the wrong shape, or wider than it is made for.
    """

    steps: tuple[Step, ...]
    image: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    logit_scale: float

    def __post_init__(self) -> None:
        assert self.edges  # every step checks what it takes

    @cached_property
    def edges(self) -> dict[str, Edge]:
        """Every edge by name, in the order of execution; the first are the pixels."""
        found = {PIXELS: coded_edge(PIXELS, self.image, (PIXEL_FORMAT,))}
        for step in self.steps:
            missing = [name for name in step.sources if name not in found]
            if missing or step.name in found:
                what = f"takes {missing[0]!r}, which no step before it makes" if missing else "is made twice"
                raise ValueError(f"step {step.name!r} {what}")
            found[step.name] = step.edge(found)
        return found

    @property
    def output(self) -> str:
        """Name of the logits."""
        return self.steps[-1].name

    @cached_property
    def last_use(self) -> dict[str, int]:
        """Index of the last step that takes an edge."""
        return {name: index for index, step in enumerate(self.steps) for name in step.sources}

    def products(self) -> Iterator[Product]:
        """The products, in the order of execution."""
        return (step for step in self.steps if isinstance(step, Product))

    def checked_images(self, images: ArrayLike) -> NDArray[np.uint8]:
        """Images [B, C, H, W] of 8-bit pixels.

        Raises
        ------
        TypeError
            If they are no uint8.
        ValueError
            If they have another shape than the network takes.
        """
        array: NDArray[Any] = as_array("images", images)
        shape = "[N, " + ", ".join(map(str, self.image)) + "]"
        if array.dtype != np.uint8:
            raise ArgumentTypeError(
                f"images are an array of {array.dtype}; an integer-only network takes pixels, uint8 {shape} from 0 to "
                "255, as they are before normalization"
            )
        if array.ndim != 4 or array.shape[1:] != self.image or not len(array):
            raise ValueError(f"images have the shape {array.shape}; legal is uint8 {shape} with N of at least 1")
        return array
