"""Calibrated models on disk: packed codes, formats and float parameters in one safetensors file.

Layout: ``codes/<layer>/<group>`` holds the bit-packed codes of a weight group, ``scale/<layer>/b/<group>`` its scales
where every channel has one, ``float/<parameter>`` what is not quantized (biases, normalization, embeddings),
``bias/<layer>`` a bias that was corrected, ``fold/<number>`` the factors of a folding; the metadata key ``ptqsim``
holds a JSON header with the formats of every layer, how the model was calibrated, and a digest of all the rest.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save as serialized
from torch import nn

import ptqsim as pq
from ptqsim.common import files, fingerprint, strict_json
from ptqsim.common.validation import checked_path
from ptqsim.formats import from_dict
from ptqsim.ptq.files.tensors import open_tensors, refuse_pickle
from ptqsim.ptq.network.admission.given import default_modes, stored_tensors
from ptqsim.ptq.network.description.architecture import architectural_difference
from ptqsim.ptq.network.description.identity import tensors_fingerprint
from ptqsim.ptq.network.products.fake_quant import FORMATS, Format
from ptqsim.ptq.network.products.operations import MatmulOperation, OperandFormats, WeightOperation
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.network.wrapping.folding import Folding, folded

VERSION: Final = 4
WITH_CHANNELS: Final = 5
READABLE: Final = (1, 2, 3, 4, 5)
"""Version 1 had no corrected biases, the digest of version 2 left the header out, version 3 had no architecture.
Version 5 has scales per channel, and is written where there are any."""


def save(quantized: QuantizedModel, path: Path) -> None:
    """Write a calibrated model.

    Raises
    ------
    ValueError
        Where a layer has no formats.
    """
    layers: dict[str, Any] = {}
    tensors: dict[str, torch.Tensor] = {}
    weights: set[str] = set()
    for name, op in quantized.layers.items():
        if op.formats is None:
            raise ValueError(f"layer {name!r} has no formats: calibrate the model before saving it")
        layers[name] = {
            "depth": op.depth,
            "a": written_formats(op.formats.a, f"scale/{name}/a", tensors),
            "b": written_formats(op.formats.b, f"scale/{name}/b", tensors),
            "report": op.report,
        }
        if isinstance(op, WeightOperation):
            weights.add(f"{name}.weight")
            layers[name]["shape"] = list(op.weight_codes[0].shape)
            for group, codes in enumerate(op.weight_codes):
                tensors[f"codes/{name}/{group}"] = torch.frombuffer(bytearray(codes.pack()), dtype=torch.uint8)
            if op.corrected_bias is not None:
                tensors[f"bias/{name}"] = op.corrected_bias.detach().cpu().contiguous()
    for name, parameter in stored_tensors(quantized.model).items():
        if name not in weights:
            tensors[f"float/{name}"] = parameter.detach().cpu().contiguous().clone()
    header: dict[str, Any] = {
        "version": WITH_CHANNELS if any(key.startswith("scale/") for key in tensors) else VERSION,
        "info": quantized.info,
        "layers": layers,
        "architecture": quantized.architecture,
        "classes": getattr(quantized.model, "num_classes", None),
        "weights": tensors_fingerprint(_weight_tensors(quantized)),
    }
    if quantized.foldings:
        header["foldings"] = [{"norm": one.norm, "linears": list(one.linears)} for one in quantized.foldings]
        tensors |= {f"fold/{i}": one.factors.cpu().contiguous() for i, one in enumerate(quantized.foldings)}
    header = json.loads(strict_json.dumps(header))  # what a reader finds, and so what the digest is of
    header["digest"] = _digest(header, tensors)
    files.write(path, serialized(tensors, {"ptqsim": strict_json.dumps(header)}))


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
    foldings = tuple(
        Folding(one["norm"], tuple(one["linears"]), tensors[f"fold/{i}"])
        for i, one in enumerate(header.get("foldings", []))
    )
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
    original = header["weights"] == tensors_fingerprint(_weight_tensors(quantized))
    for name, op in quantized.layers.items():
        _restore(op, header["layers"][name], tensors, path, decode=not original)
    expected = stored_tensors(quantized.model)
    for key, tensor in tensors.items():
        if key.startswith("float/"):
            target = expected.get(key.removeprefix("float/"))
            if target is None or target.shape != tensor.shape:
                raise ValueError(f"{path} has a parameter {key[6:]!r} that the model has not in that shape")
            target.copy_(tensor)
    quantized.info["float_weights"] = "original" if original else "decoded"
    quantized.mode = "fake_quant"
    return quantized


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
    if header.pop("digest", None) != _digest(header, tensors):
        raise ValueError(f"{path} was changed after it was written (its digest differs): make it anew")
    return header, tensors


def _digest(header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 of the tensors and, since version 3, of the header without the digest itself."""
    of_tensors = tensors_fingerprint(tensors.items())
    if header["version"] < 3:
        return of_tensors
    return fingerprint.text(f"{of_tensors};{json.dumps(header)}")


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
        pq.QuantizedArray.from_packed(tensors[f"codes/{op.name}/{g}"].numpy().tobytes(), fmt, shape)
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


def written_formats(
    formats: Sequence[pq.NumberFormat], name: str, tensors: dict[str, torch.Tensor]
) -> list[dict[str, Any]]:
    """The formats as plain data; scales per channel go into the tensors, and their entry says under which name."""
    entries = [fmt.to_dict() for fmt in formats]
    for group, (fmt, entry) in enumerate(zip(formats, entries, strict=True)):
        if fmt.axis is not None:
            entry["scale"] = f"{name}/{group}"
            tensors[entry["scale"]] = torch.tensor(fmt.scale, dtype=torch.float64)
    return entries


def read_formats(entries: list[dict[str, Any]], tensors: Mapping[str, torch.Tensor]) -> tuple[Format, ...]:
    """The formats that `written_formats` wrote; one that no layer runs in is a ValueError."""
    formats = tuple(
        from_dict({**entry, "scale": tensors[entry["scale"]].numpy()} if "axis" in entry else entry)
        for entry in entries
    )
    for fmt in formats:
        if not isinstance(fmt, FORMATS):
            names = ", ".join(kind.__name__ for kind in FORMATS)
            raise ValueError(f"a checkpoint holds format {fmt!r}; layers run in {names}")
    return formats  # type: ignore[return-value]


def _weight_tensors(quantized: QuantizedModel) -> list[tuple[str, torch.Tensor]]:
    return [(name, op.weight) for name, op in quantized.layers.items() if isinstance(op, WeightOperation)]
