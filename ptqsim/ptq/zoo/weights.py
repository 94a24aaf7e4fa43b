"""Float weights from safetensors files."""

from __future__ import annotations

import json
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from torch import nn

from ptqsim.ptq.files.tensors import load_tensors, refuse_pickle
from ptqsim.ptq.network.admission.given import check_finite

_FLOATS: Final = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
"""Types that weights are read in; those of 8 bits are codes without their scales."""


INDEX: Final = ".safetensors.index.json"
"""End of the name of a file that says in which files the tensors of a sharded checkpoint are, as in the hubs."""


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, or of the files that an index beside them names.

    Raises
    ------
    FileNotFoundError
        Where the file, or one that the index names, is missing.
    ValueError
        Where a file is damaged or has not the tensors that the index says.
    """
    if path.name.endswith(INDEX):
        return _read_shards(path)
    if path.name.endswith(".bin.index.json"):
        raise ValueError(
            f"{path} is the index of pickles, which could run any code and are not unpickled: make a "
            f"safetensors file of them (ptqsim convert {path} -o model.safetensors)"
        )
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint at {path}: name an existing safetensors file")
    refuse_pickle(path)
    try:
        return load_tensors(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is no readable safetensors file ({error}): it may be truncated, or another format; "
            "export the weights with safetensors.torch.save_file"
        ) from None


def shard_names(index: Path) -> tuple[dict[str, str], list[str]]:
    """The file of every tensor, and the names of all files, which lie beside the index.

    Raises
    ------
    FileNotFoundError, ValueError
        Where there is no index, or it is none.
    """
    if not index.is_file():
        raise FileNotFoundError(f"there is no checkpoint at {index}: name an existing index of safetensors files")
    try:
        names = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
        shards = sorted({Path(name).name for name in names.values()})
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{index} is no index of safetensors files ({type(error).__name__}: {error}); legal is a JSON object whose "
            "weight_map has the file of every tensor"
        ) from None
    return names, shards


def _read_shards(index: Path) -> dict[str, torch.Tensor]:
    names, shards = shard_names(index)
    weights: dict[str, torch.Tensor] = {}
    for shard in shards:
        weights |= read_weights(index.parent / shard)  # beside the index, wherever the name leads
    if weights.keys() != names.keys():
        odd = sorted(weights.keys() ^ names.keys())[0]
        raise ValueError(f"tensor {odd!r} is in {index} or in its files, but not in both: fetch all of them anew")
    return weights


def fill(
    model: nn.Module, weights: dict[str, torch.Tensor], name: str, *, resize: bool = False, dropped: str | None = None
) -> None:
    """Give a network its weights; a ValueError says what is missing, of another shape or type, or too much.

    Parameters
    ----------
    model : nn.Module
    weights : dict of str to tensor
    name : str
        Of the network, for messages.
    resize : bool
        Let the network resize tables of positions that are of another image size, as timm does.
    dropped : str, optional
        Name of the layer, a head, that the weights may have and the network has not.
    """
    weights = _under_present_names(model, weights, resize)
    expected = model.state_dict()
    if dropped is not None:
        weights = {key: value for key, value in weights.items() if key in expected or not _is_of(key, dropped)}
    for key, own in expected.items():
        if key not in weights:
            raise ValueError(f"the checkpoint has no tensor {key!r}, which {name} needs: it is of another network")
        if weights[key].shape != own.shape:
            advice = "; try --img-size" if "pos" in key and not resize else ""
            raise ValueError(
                f"tensor {key!r} of the checkpoint has shape {tuple(weights[key].shape)}, but {name} needs "
                f"{tuple(own.shape)}: it is of another network, image size or number of classes{advice}"
            )
        check_tensor(key, weights[key], own.dtype, name)
    if extra := [key for key in weights if key not in expected]:
        raise ValueError(f"the checkpoint has a tensor {extra[0]!r}, which {name} has not: it is of another network")
    model.load_state_dict(weights)


def check_tensor(key: str, tensor: torch.Tensor, wanted: torch.dtype, name: str) -> None:
    """Refuse a tensor of a checkpoint that a network's own type can't hold to the last bit, or that is not finite.

    Parameters
    ----------
    key : str
        Its name in the checkpoint.
    tensor : torch.Tensor
    wanted : torch.dtype
        What the network has in its place.
    name : str
        Of the network.

    Raises
    ------
    ValueError
        For integers, complex numbers and floats of 8 bits in place of floats, for values that conversion would change,
        and for NaN and infinite ones.
    """
    floats = wanted.is_floating_point
    whole = not tensor.is_floating_point() and not tensor.is_complex()
    if not (tensor.dtype in _FLOATS if floats else whole):
        legal = ", ".join(map(str, _FLOATS)) if floats else "an integer type"
        raise ValueError(
            f"tensor {key!r} of the checkpoint is {tensor.dtype}, where {name} has {wanted}; legal is {legal}: save "
            "the weights themselves, not codes, which say nothing without their scales"
        )
    if floats:
        check_finite(f"tensor {key!r} of the checkpoint", tensor)
    if not torch.equal(tensor.to(wanted).to(tensor.dtype), tensor):
        raise ValueError(
            f"tensor {key!r} of the checkpoint is {tensor.dtype}, and {wanted}, which {name} has, can't hold all of "
            f"its values: convert the weights to {wanted} before saving them"
        )


def _is_of(key: str, layer: str) -> bool:
    """True for a tensor of a layer, also under the first part of its name, as in earlier releases."""
    return any(key in (f"{name}.weight", f"{name}.bias") for name in (layer, layer.partition(".")[0]))


def _under_present_names(model: nn.Module, weights: dict[str, torch.Tensor], resize: bool) -> dict[str, torch.Tensor]:
    """timm's hub keeps some networks under the names of their first release; each network knows how to read them."""
    read = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    own = model.state_dict()
    if read is None or (weights.keys() == own.keys() and not (resize and _apart(own, weights))):
        return weights
    with warnings.catch_warnings(action="ignore"):  # what resizing warns of
        try:
            renamed: dict[str, torch.Tensor] = read(dict(weights), model)
        except Exception:  # of another network; the names and shapes say so better
            return weights
    # tables of another image size were resized: unless asked for, the error about their shape is the better answer
    before, after = (Counter(tensor.shape for tensor in tensors.values()) for tensors in (weights, renamed))
    resized = after - before
    changed = [key for key, tensor in renamed.items() if tensor.shape in resized and not _is_part(tensor, weights)]
    return renamed if all(resize and "pos" in key for key in changed) else weights


def _apart(own: dict[str, torch.Tensor], weights: dict[str, torch.Tensor]) -> bool:
    return any(own[key].shape != tensor.shape for key, tensor in weights.items())


def _is_part(tensor: torch.Tensor, weights: dict[str, torch.Tensor]) -> bool:
    """True for the last rows of a table, the first of which a network has elsewhere (a class token's position)."""
    rows = tensor.shape[-2] if tensor.ndim > 1 else 0
    return any(
        whole.ndim == tensor.ndim > 1
        and whole.shape[-1] == tensor.shape[-1]
        and whole.shape[-2] > rows
        and whole[..., whole.shape[-2] - rows :, :].shape == tensor.shape
        and torch.equal(whole[..., whole.shape[-2] - rows :, :], tensor)
        for whole in weights.values()
    )
