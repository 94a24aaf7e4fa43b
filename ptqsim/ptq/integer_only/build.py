"""The integer-only network of a calibrated one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ptqsim.errors import ArgumentTypeError
from ptqsim.integer_only import Plan
from ptqsim.ptq.integer_only.builder import Builder
from ptqsim.ptq.integer_only.options import IntegerOnly
from ptqsim.ptq.integer_only.pixels import normalization, pixel_projection
from ptqsim.ptq.integer_only.refuse import no_unit
from ptqsim.ptq.integer_only.seen import observe
from ptqsim.ptq.integer_only.swin import read_swin
from ptqsim.ptq.integer_only.vision_transformer import read_vision_transformer
from ptqsim.ptq.network.input_size import input_size
from ptqsim.ptq.network.products.operations import PatchOperation
from ptqsim.ptq.network.timm_classes import timm_class

if TYPE_CHECKING:
    from ptqsim.ptq.network.quantized_model import QuantizedModel

_READERS = {
    "models.vision_transformer.VisionTransformer": read_vision_transformer,
    "models.deit.VisionTransformerDistilled": read_vision_transformer,
    "models.swin_transformer.SwinTransformer": read_swin,
}


def build_plan(quantized: QuantizedModel, images: torch.Tensor, options: IntegerOnly) -> Plan:
    """The plan of a calibrated network, with the ranges that these images show.

    Parameters
    ----------
    quantized : QuantizedModel
        Calibrated; it is left as it is.
    images : float tensor [N, C, H, W]
        Calibration images, normalized.
    options : IntegerOnly

    Raises
    ------
    ValueError
        Where the network has an operation without an integer unit (it is named), where a residual is too narrow, or
        where a format has no integer form.
    """
    if not isinstance(options, IntegerOnly):
        raise ArgumentTypeError(f"options are {options!r}; legal is a ptqsim.ptq.IntegerOnly")
    model: Any = quantized.model
    read = {timm_class(path): reader for path, reader in _READERS.items()}.get(type(model))
    if read is None:
        raise no_unit(type(model).__name__, model)
    op = getattr(model.patch_embed, "proj", None)
    if not isinstance(op, PatchOperation):
        raise no_unit("patch_embed.proj", op)
    mean, std = normalization(model)
    if len(mean) != images.shape[1] or len(std) != images.shape[1]:
        raise ValueError(
            f"images have {images.shape[1]} channels, and the network's normalization is {mean}, {std}: set "
            "model.pretrained_cfg to one mean and one std per channel"
        )
    size = input_size(model)
    if tuple(images.shape[1:]) != size:
        size = (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))
    build = Builder(quantized, size, options, observe(quantized, images))
    return read(build, model, pixel_projection(op, mean, std, images), (mean, std))
