"""Calibrated models read from disk; :mod:`ptqsim.ptq.network.saving` describes the files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import nn

import ptqsim as pq
from ptqsim.common.validation import checked_path
from ptqsim.formats import from_dict
from ptqsim.integer_only import plan_from_plain
from ptqsim.ptq.files.tensors import open_tensors, refuse_pickle
from ptqsim.ptq.network.admission.given import default_modes, stored_tensors
from ptqsim.ptq.network.description.architecture import architectural_difference
from ptqsim.ptq.network.description.identity import tensors_fingerprint
from ptqsim.ptq.network.foldings.kinds import folded, read_folding
from ptqsim.ptq.network.products.blocked import AnyArray, Blocked
from ptqsim.ptq.network.products.fake_quant import FORMATS, Format
from ptqsim.ptq.network.products.operations import MatmulOperation, OperandFormats, WeightOperation
from ptqsim.ptq.network.quantized_model import QuantizedModel, run_as_calibrated
from ptqsim.ptq.network.saving import digest, layer_key, weight_tensors

READABLE: Final = (1, 2, 3, 4, 5, 6, 7)
"""Version 1 had no corrected biases, the digest of version 2 left the header out, version 3 had no architecture.
Version 5 has scales per channel, unsigned codes and zero points, version 6 block formats, version 7 rotations and
learned norms; they are written where there are any."""


def load(path: str | Path, model: nn.Module) -> QuantizedModel:
    """Read a calibrated model back.

    Parameters
    ----------
    path : path
        A file written by :meth:`QuantizedModel.save`.
    model : nn.Module
        The network it was calibrated from, or one of the same architecture.  Codes and float parameters come from the
        file, so that integer and fake_quant mode give the same bits as before saving.  Float mode needs the original
        weights; if those of ``model`` are not they, it runs on the decoded codes instead, and
        ``info["float_weights"]`` is ``"decoded"``.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where it is truncated, tampered with, no ptqsim checkpoint, or of another architecture; and where ``model`` has
        a layer that something changes, as for :func:`ptqsim.ptq.calibrate`.

    Warns
    -----
    UserWarning
        Where the file is of version 3 or older, which does not say what activations and settings the network has.
    """
    path = checked_path("the checkpoint", path)
    header, tensors = read(path)
    if "architecture" not in header:
        warnings.warn(
            f"{path} was written by an older ptqsim and does not say what activations and settings its network has, so "
            "that only names and shapes are compared with the model: save it anew to have all compared",
            stacklevel=2,
        )
    return restored(path, header, tensors, model)


@default_modes()
def restored(path: Path, header: dict[str, Any], tensors: dict[str, torch.Tensor], model: nn.Module) -> QuantizedModel:
    """The calibrated model that header and tensors of a file describe; arguments and errors as for :func:`load`."""
    foldings = tuple(read_folding(one, i, tensors) for i, one in enumerate(header.get("foldings", [])))
    quantized = QuantizedModel(folded(model, foldings) if foldings else model, header["info"])
    quantized.foldings = foldings
    if header["layers"].keys() != quantized.layers.keys():
        odd = sorted(header["layers"].keys() ^ quantized.layers.keys())[0]
        raise ValueError(
            f"{path} was made from a network of another architecture (layer {odd!r} is in one of both): name the model "
            "that it was calibrated from"
        )
    differs = architectural_difference(header.get("architecture", quantized.architecture), quantized.architecture)
    if differs is not None:
        raise ValueError(
            f"{path} was made from a network of another architecture ({differs}): name the model that it was "
            "calibrated from"
        )
    original = header["weights"] == tensors_fingerprint(weight_tensors(quantized))
    for name, op in quantized.layers.items():
        _restore(op, header["layers"][name], tensors, path, decode=not original)
    expected = stored_tensors(quantized.model)
    for key, tensor in tensors.items():
        if key.startswith("float/"):
            target = expected.get(key.removeprefix("float/"))
            if target is None or target.shape != tensor.shape:
                raise ValueError(f"{path} has a parameter {key[6:]!r} that the model has not in that shape")
            target.copy_(tensor)
    quantized.tune({key.removeprefix("norm/"): tensor for key, tensor in tensors.items() if key.startswith("norm/")})
    if (plan := header.get("integer_only")) is not None:
        quantized.plan = plan_from_plain(plan, _Constants(tensors))
    quantized.info["float_weights"] = "original" if original else "decoded"
    quantized.mode = "fake_quant"
    run_as_calibrated(quantized)
    return quantized


class _Constants(dict[str, NDArray[Any]]):
    """Arrays of a plan by key: its own, or the codes of the layers."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self._tensors = tensors

    def __missing__(self, key: str) -> NDArray[Any]:
        own = self._tensors.get(f"plan/{key}")
        return (self._tensors[layer_key(key)] if own is None else own).numpy()


def read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Header and tensors of a checkpoint; one that can't be read or was changed is a ValueError."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint at {path}: make one with ptqsim calibrate -o {path}")
    refuse_pickle(path)
    try:
        with open_tensors(path) as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is no readable safetensors file ({error}): it may be truncated; make it anew"
        ) from None
    if "ptqsim" not in metadata:
        raise ValueError(f"{path} is a safetensors file, but no ptqsim checkpoint: make one with ptqsim calibrate")
    try:
        header: dict[str, Any] = dict(json.loads(metadata["ptqsim"]))
    except (ValueError, TypeError):  # no JSON, or no object
        raise ValueError(f"{path} has a header that can't be read: it was changed; make it anew") from None
    if header.get("version") not in READABLE:
        raise ValueError(
            f"{path} has checkpoint version {header.get('version')}, this ptqsim reads {READABLE[0]} to "
            f"{READABLE[-1]}: make it anew"
        )
    if header.pop("digest", None) != digest(header, tensors):
        raise ValueError(f"{path} was changed after it was written (its digest differs): make it anew")
    return header, tensors


def _restore(
    op: MatmulOperation, layer: dict[str, Any], tensors: dict[str, torch.Tensor], path: Path, *, decode: bool
) -> None:
    op.formats = OperandFormats(read_formats(layer["a"], tensors), read_formats(layer["b"], tensors))
    op.depth = layer["depth"]
    op.report = layer["report"]
    if not isinstance(op, WeightOperation):
        return
    shape = tuple(op.constant_b[0].shape)
    if tuple(layer["shape"]) != shape:
        raise ValueError(
            f"layer {op.name!r} of {path} has a weight of shape {layer['shape']}, the model's is {list(shape)}: "
            "name the model that it was calibrated from"
        )
    codes = [
        unpacked(tensors[f"codes/{op.name}/{g}"], fmt, shape)
        for g, fmt in enumerate(op.formats.b * (op.groups[1] // len(op.formats.b)))
    ]
    if decode:
        decoded = np.stack([c.dequantize() for c in codes])  # [G, K, N / G]
        rows = torch.from_numpy(decoded).to(op.weight.dtype).transpose(1, 2)
        # its own, as the parameter may be that of another layer too
        op.weight = nn.Parameter(rows.reshape(op.weight.shape).to(op.weight.device), requires_grad=False)
    op.weight_codes = codes
    bias = tensors.get(f"bias/{op.name}")
    if bias is not None:
        if bias.shape != (shape[1] * len(codes),):
            raise ValueError(f"layer {op.name!r} of {path} has a bias of shape {tuple(bias.shape)}: make the file anew")
        op.corrected_bias = bias.to(op.weight.device)


def unpacked(data: torch.Tensor, fmt: Format, shape: tuple[int, ...]) -> AnyArray:
    """The codes of a weight that were packed into bytes."""
    if isinstance(fmt, Blocked):
        return fmt.from_packed(data.numpy().tobytes(), shape)
    return pq.QuantizedArray.from_packed(data.numpy().tobytes(), fmt, shape)


def read_formats(entries: list[dict[str, Any]], tensors: Mapping[str, torch.Tensor]) -> tuple[Format, ...]:
    """The formats that `written_formats` wrote; one that no layer runs in is a ValueError."""
    formats = tuple(
        Blocked.from_dict(entry)
        if entry.get("kind") == Blocked.kind
        else from_dict({**entry, "scale": tensors[entry["scale"]].numpy()} if "axis" in entry else entry)
        for entry in entries
    )
    for fmt in formats:
        if not isinstance(fmt, FORMATS):
            names = ", ".join(kind.__name__ for kind in FORMATS)
            raise ValueError(f"a checkpoint holds format {fmt!r}; layers run in {names}")
    return formats  # type: ignore[return-value]
