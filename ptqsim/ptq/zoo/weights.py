"""Float weights from safetensors files."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn

from ptqsim.ptq.tensor_files import load_tensors


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file; a missing or damaged one is an error that says so."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint at {path}: name an existing safetensors file")
    try:
        return load_tensors(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is no readable safetensors file ({error}): it may be truncated, or another format; "
            "export the weights with safetensors.torch.save_file"
        ) from None


def fill(model: nn.Module, weights: dict[str, torch.Tensor], name: str) -> None:
    """Give a network its weights; a ValueError says what is missing, of another shape, or too much."""
    weights = _under_present_names(model, weights)
    expected = {key: tensor.shape for key, tensor in model.state_dict().items()}
    for key, shape in expected.items():
        if key not in weights:
            raise ValueError(f"the checkpoint has no tensor {key!r}, which {name} needs: it is of another network")
        if weights[key].shape != shape:
            raise ValueError(
                f"tensor {key!r} of the checkpoint has shape {tuple(weights[key].shape)}, but {name} needs "
                f"{tuple(shape)}: it is of another network, image size or number of classes"
            )
    if extra := [key for key in weights if key not in expected]:
        raise ValueError(f"the checkpoint has a tensor {extra[0]!r}, which {name} has not: it is of another network")
    model.load_state_dict(weights)


def _under_present_names(model: nn.Module, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """timm's hub keeps some networks under the names of their first release; each network knows how to read them."""
    read = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if read is None or weights.keys() == model.state_dict().keys():
        return weights
    with warnings.catch_warnings(action="ignore"):  # what resizing warns of; resized weights are not used
        renamed: dict[str, torch.Tensor] = read(dict(weights), model)
    # tables of another image size were resized: the error about their shape is the better answer
    before, after = (Counter(tensor.shape for tensor in tensors.values()) for tensors in (weights, renamed))
    resized = after - before
    return weights if resized else renamed
