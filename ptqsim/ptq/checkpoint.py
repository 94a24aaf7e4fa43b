"""Calibrated models from the files that name their network."""

from __future__ import annotations

from pathlib import Path

from ptqsim.common.validation import checked_path
from ptqsim.ptq.network.loading import read, restored
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.zoo.models import build, load_with_options
from ptqsim.ptq.zoo.options import ModelOptions


def load_with_model(
    path: str | Path, *, checkpoint: str | Path | None = None, pretrained: bool = False
) -> QuantizedModel:
    """Read a calibrated model whose file names its network, as those of ``ptqsim calibrate`` do.

    Parameters
    ----------
    path : path
    checkpoint : path, optional
        The float weights that it was calibrated from: mode ``float`` is then the float network, as it is anyway for a
        bundled model with its own weights, and not the decoded codes.
    pretrained : bool
        Fetch these weights, as for :func:`ptqsim.ptq.load_model`.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`load`, and where the file names no model, or was calibrated from other weights than those named.
    """
    path = checked_path("the checkpoint", path)
    header, tensors = read(path)
    info = header["info"]
    name, options = info.get("model"), info.get("model_options", {})
    if name is None:
        raise ValueError(f"{path} does not say which model it is of: load it with ptqsim.ptq.load(path, model)")
    if checkpoint is None and not pretrained:
        return restored(path, header, tensors, build(name, header["classes"], options))
    made = ModelOptions.from_dict(options)
    network = load_with_options(name, made, pretrained=pretrained, checkpoint=checkpoint)
    quantized = restored(path, header, tensors, network)
    if quantized.info["float_weights"] != "original":
        named = "the pretrained weights" if checkpoint is None else checkpoint
        raise ValueError(f"{path} was calibrated from other weights than {named}: name those, or leave the option out")
    return quantized
