"""All kinds of foldings: a network folded, and foldings in files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Final

import torch
from torch import nn

from ptqsim.ptq.network.foldings.head_folding import HeadFolding
from ptqsim.ptq.network.foldings.head_rotation import HeadRotation
from ptqsim.ptq.network.foldings.norm_folding import Folding
from ptqsim.ptq.network.foldings.protocol import AnyFolding, Parts
from ptqsim.ptq.network.foldings.stream_rotation import StreamRotation
from ptqsim.ptq.threads import one_thread

KINDS: Final[tuple[type[AnyFolding], ...]] = (Folding, HeadFolding, StreamRotation, HeadRotation)


def folded(model: nn.Module, foldings: Iterable[AnyFolding]) -> nn.Module:
    """A copy of a network with factors moved: it computes the same function, but for rounding.

    Parameters
    ----------
    model : nn.Module
    foldings : iterable of Folding, HeadFolding, StreamRotation and HeadRotation

    Returns
    -------
    nn.Module

    Raises
    ------
    ValueError
        Where the network has no such layers, or they have another number of channels.
    """
    copied = deepcopy(model)
    parts = Parts.of(copied)
    with torch.no_grad(), one_thread():  # the order of sums in a product of matrices may depend on the threads
        for folding in foldings:
            folding.move(parts)
    return copied


def written_folding(folding: AnyFolding, number: int, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """A folding as plain data; its tensors go into the others, under its number."""
    entry, own = folding.written()
    tensors |= {f"{name}/{number}": tensor.cpu().contiguous() for name, tensor in own.items()}
    return entry


def read_folding(entry: Mapping[str, Any], number: int, tensors: Mapping[str, torch.Tensor]) -> AnyFolding:
    """The folding that :func:`written_folding` wrote; a ValueError if it is of no kind that is known."""
    names = [f"{name}/{number}" for name in ("fold", "shift", "values")]
    own = {name.partition("/")[0]: tensors[name] for name in names if name in tensors}
    for kind in KINDS:
        if kind.is_written_as(entry):
            return kind.read(entry, own)
    raise ValueError(f"folding {number} has the fields {', '.join(entry)}, and this ptqsim knows no such kind")
