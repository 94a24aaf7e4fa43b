"""Calibrated models from the files that name their network."""

from __future__ import annotations

from pathlib import Path

from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.network.storage import read, restored
from ptqsim.ptq.zoo.models import build
from ptqsim.validation import checked_path


def load_with_model(path: str | Path) -> QuantizedModel:
    """Read a calibrated model whose file names its network, as those of ``ptqsim calibrate`` do.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`load`, and where the file names no model.
    """
    path = checked_path("the checkpoint", path)
    header, tensors = read(path)
    name = header["info"].get("model")
    if name is None:
        raise ValueError(f"{path} does not say which model it is of: load it with ptqsim.ptq.load(path, model)")
    return restored(path, header, tensors, build(name, header["classes"]))
