"""Rotation of the residual streams and of the heads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import torch
from torch import nn

from ptqsim.common.validation import checked_bool, checked_integer, checked_seed
from ptqsim.ptq.calibration.folds.attentions import plain_attentions
from ptqsim.ptq.calibration.folds.rotations.learned import improved
from ptqsim.ptq.calibration.folds.rotations.orthogonal import spreading, with_mean_kept
from ptqsim.ptq.calibration.folds.rotations.streams import Stream, streams
from ptqsim.ptq.network.foldings.head_rotation import HeadRotation
from ptqsim.ptq.network.foldings.stream_rotation import StreamRotation
from ptqsim.ptq.threads import one_thread

MOST_STEPS: Final = 10_000


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """Channels between linear layers rotated, so that a few large ones are spread over all of them.

    Every residual stream is multiplied by an orthogonal matrix by which the mean of the channels stays, so that a
    LayerNorm without a gain of its own is rotated with its input; gains are moved into the next weights, and so are
    layer scales into those before them.  Per head, Q and K are rotated together, which leaves Q K^T, and V, which the
    projection takes back.  Everything takes place in the parameters: nothing is added to the network (QuaRot, Ashkboos
    et al., NeurIPS 2024, arXiv 2404.00456; SpinQuant, Liu et al., ICLR 2025, arXiv 2405.16406).  docs/calibration.md
    has the places, and where a rotation would not be exact.

    Matrices are Hadamard matrices with random signs where there is one of that size, else random orthogonal ones.

    Attributes
    ----------
    stream, scores, values : bool
        Rotate the residual streams, Q and K, and V.
    steps : int
        Steps of descent by which the matrices of the streams are learned from there, so that products of rounded inputs
        and weights are closer to those of the float network; 0 for none.
    bits : int
        Width of these inputs and weights, 2 to 8.
    seed : int
        Seed of signs and random matrices.
    """

    stream: bool = True
    scores: bool = True
    values: bool = True
    steps: int = 0
    bits: int = 4
    seed: int = 0
    name: ClassVar[str] = "rotation"
    STEPS: ClassVar[int] = 100
    """Steps of ``--fold learned_rotation``."""

    def __post_init__(self) -> None:
        for field in ("stream", "scores", "values"):
            checked_bool(field, getattr(self, field))
        checked_integer("steps", self.steps, 0, MOST_STEPS, "try 0 for none, or 100")
        checked_integer("bits", self.bits, 2, 8, "try 4")
        checked_seed(self.seed)
        if not (self.stream or self.scores or self.values):
            raise ValueError("stream, scores and values are all False, and nothing would be rotated; set one of them")
        if self.steps and not self.stream:
            raise ValueError("steps are for the matrices of residual streams; legal with stream=False is steps=0")

    def foldings(self, model: nn.Module, images: torch.Tensor) -> list[StreamRotation | HeadRotation]:
        """Rotations of everything that can be rotated; what cannot be is left as it is."""
        with one_thread(next(model.parameters()).device):
            return list(self._foldings(model, images))

    def _foldings(self, model: nn.Module, images: torch.Tensor) -> Iterator[StreamRotation | HeadRotation]:
        generator = np.random.default_rng(self.seed)
        for stream in streams(model, images) if self.stream else []:
            matrix = _tensor(with_mean_kept(spreading(stream.channels, generator)))
            if self.steps:
                matrix = improved(model, images, stream, matrix, self.steps, self.bits)
            yield _rotated(stream, matrix)
        for name, module in plain_attentions(model) if self.scores or self.values else []:
            size = module.proj.in_features // module.num_heads
            matrices = [
                _tensor(spreading(size, generator) if wanted else np.eye(size)) for wanted in (self.scores, self.values)
            ]
            yield HeadRotation(f"{name}.qkv", f"{name}.proj", *matrices)


def _tensor(matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> torch.Tensor:
    return torch.from_numpy(matrix).float()  # rounded as a checkpoint keeps it


def _rotated(stream: Stream, matrix: torch.Tensor) -> StreamRotation:
    norms, writers = tuple(stream.norms), tuple(stream.writers)
    return StreamRotation(matrix, norms, writers, tuple(stream.scales), tuple(stream.values))
