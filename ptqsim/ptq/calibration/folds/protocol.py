"""The interface of folds, and the way from a fold to a network that it was made in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import nn

from ptqsim.errors import ArgumentTypeError
from ptqsim.ptq.network.admission.given import no_autocast
from ptqsim.ptq.network.foldings.kinds import folded
from ptqsim.ptq.network.foldings.protocol import AnyFolding

TOLERANCE = 1e-3
"""Of the greatest output: by how much a fold may change an output.  Rounding changes it by a hundredth of this."""


@runtime_checkable
class Fold(Protocol):
    """A rule that moves factors and constants between the parameters of a network."""

    name: ClassVar[str]

    def foldings(self, model: nn.Module, images: torch.Tensor) -> Sequence[AnyFolding]:
        """Everything that is moved.

        Parameters
        ----------
        model : nn.Module
            The float network.
        images : float tensor [N, C, H, W]
            Calibration images.
        """
        ...


def fold(model: nn.Module, images: torch.Tensor, folds: Sequence[Fold]) -> tuple[nn.Module, list[AnyFolding]]:
    """A copy of the network with all folds made, one after the other, and what was moved.

    Parameters
    ----------
    model : nn.Module
        The float network, in evaluation mode.
    images : float tensor [N, C, H, W]
        Calibration images.
    folds : sequence of Fold

    Returns
    -------
    nn.Module, list of Folding, HeadFolding, StreamRotation and HeadRotation
        The network itself and nothing where nothing of it can be folded.

    Raises
    ------
    TypeError
        Where a fold is none.
    ValueError
        Where a fold changes the output of the network by more than rounding.
    """
    foldings: list[AnyFolding] = []
    given: object = folds
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ArgumentTypeError(f"folds are {folds!r}; legal is a sequence of folds: try [ptq.Smoothing()]")
    for one in folds:
        if isinstance(one, type) or not isinstance(one, Fold):
            raise ArgumentTypeError(f"a fold was given as {one!r}; legal is a sequence of folds: try [ptq.Smoothing()]")
        made = one.foldings(model, images)
        changed = folded(model, made)
        _check_same(model, changed, images[:4], one.name)
        model, foldings = changed, [*foldings, *made]
    return model, foldings


def _check_same(before: nn.Module, after: nn.Module, images: torch.Tensor, name: str) -> None:
    with torch.no_grad(), no_autocast():
        expected, found = (_tensors(network(images)) for network in (before, after))
    for one, other in zip(expected, found, strict=True):
        off = float((one - other).abs().max()) / max(float(one.abs().max()), 1e-30)
        if not off <= TOLERANCE:
            raise ValueError(
                f"fold {name!r} changes an output by {off:.2g} of the greatest, which is more than rounding; legal is "
                "a network whose normalization layers and linear layers are used as they are: leave the fold out"
            )


def _tensors(output: object) -> list[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        return [output]
    values = output.values() if isinstance(output, dict) else output
    return [value for value in values if isinstance(value, torch.Tensor)] if isinstance(values, Sequence) else []
