"""A cache of calibrated layers, so that no finished layer is calibrated twice.

Results are kept in memory, and also on disk if a folder is given; an interrupted calibration then continues after its
last finished layer.  The key of a result is everything that it depends on: the network (weights, classes and settings),
the images, the method with its options, the widths, the seed, the code, and the versions of the packages that compute.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import save

from ptqsim.common import files, fingerprint
from ptqsim.ptq.calibration.layer import LayerResult
from ptqsim.ptq.files.tensors import open_tensors
from ptqsim.ptq.network.description.identity import tensors_fingerprint
from ptqsim.ptq.network.loading import read_formats, unpacked
from ptqsim.ptq.network.products.operations import OperandFormats
from ptqsim.ptq.network.saving import written_formats

_WHOLE: Final = re.compile(r"[^/]+-[0-9a-f]{16}\.safetensors")


class LayerCache:
    """Results of layers by key.

    Parameters
    ----------
    folder : path, optional
        Folder to keep them in beyond this process; it is created with the first result.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._results: dict[str, LayerResult] = {}

    def get(self, layer: str, key: Mapping[str, Any]) -> LayerResult | None:
        """The kept result, or None; a file that is damaged counts as none."""
        name = _name(layer, key)
        if name not in self._results and self.folder is not None:
            try:
                self._results[name] = _read(self.folder / name)
            except (FileNotFoundError, SafetensorError, KeyError, ValueError):
                return None
        return self._results.get(name)

    def put(self, layer: str, key: Mapping[str, Any], result: LayerResult) -> None:
        """Keep a result.  On disk it is complete or absent, whenever the process ends."""
        name = _name(layer, key)
        self._results[name] = result
        if self.folder is not None:
            files.write(self.folder / name, _written(result))

    def __len__(self) -> int:
        """Number of layers kept on disk."""
        return len(self._files())

    def remove(self) -> None:
        """Delete what is kept on disk, and the folder if nothing else is in it."""
        if self.folder is None or not self.folder.is_dir():
            return
        for file in self._files(partial=True):
            file.unlink()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _files(self, *, partial: bool = False) -> list[Path]:
        if self.folder is None or not self.folder.is_dir():
            return []
        found = {file: files.PARTIAL.fullmatch(file.name) for file in self.folder.iterdir()}
        return [
            file
            for file, left in found.items()
            if _WHOLE.fullmatch(file.name if left is None else left[1]) and (partial or left is None)
        ]


def _name(layer: str, key: Mapping[str, Any]) -> str:
    digest = fingerprint.value({**key, "layer": layer, "code": fingerprint.arithmetic()})
    return f"{layer}-{digest[:16]}.safetensors"


def _written(result: LayerResult) -> bytes:
    tensors = {f"norm/{name}": value.contiguous() for name, value in result.norms.items()}
    if result.bias is not None:
        tensors["bias"] = result.bias.contiguous()
    for group, codes in enumerate(result.weight_codes or ()):
        tensors[f"codes/{group}"] = torch.frombuffer(bytearray(codes.pack()), dtype=torch.uint8)
    header = {
        "a": written_formats(result.formats.a, "scale/a", tensors),
        "b": written_formats(result.formats.b, "scale/b", tensors),
        "depth": result.depth,
        "report": result.report,
        "shape": None if result.weight_codes is None else list(result.weight_codes[0].shape),
    }
    about = json.dumps(header)
    tensors = tensors or {"nothing": torch.zeros(0)}
    return save(tensors, {"layer": about, "sha256": _digest(about, tensors)})


def _digest(about: str, tensors: Mapping[str, torch.Tensor]) -> str:
    return fingerprint.text(about + tensors_fingerprint(tensors.items()))


def _read(path: Path) -> LayerResult:
    if not path.is_file():
        raise FileNotFoundError(path)
    with open_tensors(path) as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    if metadata["sha256"] != _digest(metadata["layer"], tensors):
        raise ValueError(f"{path} has changed since it was written")
    header = json.loads(metadata["layer"])
    formats = OperandFormats(read_formats(header["a"], tensors), read_formats(header["b"], tensors))
    codes = None
    if header["shape"] is not None:
        codes = [unpacked(tensors[f"codes/{g}"], fmt, tuple(header["shape"])) for g, fmt in enumerate(formats.b)]
    norms = {name.removeprefix("norm/"): value for name, value in tensors.items() if name.startswith("norm/")}
    return LayerResult(formats, header["depth"], header["report"], codes, tensors.get("bias"), norms)
