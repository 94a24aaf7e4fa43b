"""Calibrated models on disk: packed codes, formats and float parameters in one safetensors file.

Layout: ``codes/<layer>/<group>`` holds the bit-packed codes of a weight group, ``scale/<layer>/b/<group>`` its scales
where every channel has one, ``float/<parameter>`` what is not quantized (biases, normalization, embeddings),
``bias/<layer>`` a bias that was corrected, ``norm/<parameter>`` a parameter of a LayerNorm that was learned,
``fold/<number>`` the factors or the matrix of a folding, ``shift/<number>`` its constants or ``values/<number>`` those
of values, ``plan/...`` the constants of an integer-only network that are not there yet; the metadata key ``ptqsim``
holds a JSON header with the formats of every layer, how the model was calibrated, and a digest of all the rest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save as serialized

import ptqsim as pq
from ptqsim.common import files, fingerprint, strict_json
from ptqsim.integer_only import plan_to_plain
from ptqsim.ptq.network.checkpoint_versions import VERSION, WITH_BLOCKS, WITH_LATER_FIELDS, WITH_ROTATIONS
from ptqsim.ptq.network.description.identity import tensors_fingerprint
from ptqsim.ptq.network.foldings.kinds import written_folding
from ptqsim.ptq.network.products.blocked import Blocked
from ptqsim.ptq.network.products.operations import WeightOperation

if TYPE_CHECKING:
    from ptqsim.ptq.network.quantized_model import QuantizedModel


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
    for name, parameter in quantized.float_parameters().items():
        if name not in weights:
            tensors[f"float/{name}"] = parameter.detach().cpu().contiguous().clone()
    for name, parameter in quantized.tuned.items():
        tensors[f"norm/{name}"] = parameter.cpu().contiguous()
    versions = [one.version for one in quantized.foldings]
    header: dict[str, Any] = {
        "version": max(version_of(layers), WITH_ROTATIONS if quantized.tuned else 0, *versions),
        "info": quantized.info,
        "layers": layers,
        "architecture": quantized.architecture,
        "classes": getattr(quantized.model, "num_classes", None),
        "weights": tensors_fingerprint(weight_tensors(quantized)),
    }
    if quantized.foldings:
        header["foldings"] = [written_folding(one, i, tensors) for i, one in enumerate(quantized.foldings)]
    if quantized.plan is not None:
        header["integer_only"], constants = plan_to_plain(quantized.plan)
        for key, array in constants.items():
            tensor = torch.from_numpy(array.copy())
            # Most weights are those of the layers; that of the patch projection may be another.
            if not torch.equal(tensors.get(layer_key(key), tensor[:0]), tensor):
                tensors[f"plan/{key}"] = tensor
    header = json.loads(strict_json.dumps(header))  # what a reader finds, and so what the digest is of
    header["digest"] = digest(header, tensors)
    files.write(path, serialized(tensors, {"ptqsim": strict_json.dumps(header)}))


def version_of(layers: dict[str, Any]) -> int:
    """The first version whose readers know all fields of the formats of these layers."""
    entries = [entry for layer in layers.values() for entry in (*layer["a"], *layer["b"])]
    if any(entry["kind"] == Blocked.kind for entry in entries):
        return WITH_BLOCKS
    return WITH_LATER_FIELDS if any(pq.Uniform.later_fields & entry.keys() for entry in entries) else VERSION


def layer_key(key: str) -> str:
    """Key of the codes of a layer, of which ``weights/<layer>/<group>`` of a plan are a copy."""
    return key.replace("weights/", "codes/", 1)


def digest(header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 of the tensors and, since version 3, of the header without the digest itself."""
    of_tensors = tensors_fingerprint(tensors.items())
    if header["version"] < 3:
        return of_tensors
    return fingerprint.text(f"{of_tensors};{json.dumps(header)}")


def written_formats(
    formats: Sequence[pq.NumberFormat | Blocked], name: str, tensors: dict[str, torch.Tensor]
) -> list[dict[str, Any]]:
    """The formats as plain data; scales per channel go into the tensors, and their entry says under which name."""
    entries = [fmt.to_dict() for fmt in formats]
    for group, (fmt, entry) in enumerate(zip(formats, entries, strict=True)):
        if not isinstance(fmt, Blocked) and fmt.axis is not None:
            entry["scale"] = f"{name}/{group}"
            tensors[entry["scale"]] = torch.tensor(fmt.scale, dtype=torch.float64)
    return entries


def weight_tensors(quantized: QuantizedModel) -> list[tuple[str, torch.Tensor]]:
    """Names and values of the float weights of all layers."""
    return [(name, op.weight) for name, op in quantized.layers.items() if isinstance(op, WeightOperation)]
