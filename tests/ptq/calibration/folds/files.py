"""Folded networks in files."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ptqsim import ptq


def read_back(made: ptq.QuantizedModel, model: nn.Module, images: torch.Tensor, folder: Path) -> ptq.QuantizedModel:
    """The model that comes out of a file, which folds the float network again and gives the same bits in all modes."""
    made.save(folder / "m.safetensors")
    read = ptq.load(folder / "m.safetensors", model)
    assert read.info["float_weights"] == "original"
    assert [type(one) for one in read.foldings] == [type(one) for one in made.foldings]
    for mode in ("fake_quant", "integer", "float"):
        made.mode = read.mode = mode
        assert torch.equal(made(images), read(images)), mode
    return read
