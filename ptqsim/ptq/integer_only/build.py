"""The integer-only network of a calibrated one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from ptqsim.errors import ArgumentTypeError
from ptqsim.integer_only import Plan
from ptqsim.ptq.integer_only.builder import Builder
from ptqsim.ptq.integer_only.options import IntegerOnly
from ptqsim.ptq.integer_only.pixels import normalization, pixel_projection
from ptqsim.ptq.integer_only.refuse import no_unit
from ptqsim.ptq.integer_only.seen import Seen, observe
from ptqsim.ptq.integer_only.swin import check_swin, read_swin
from ptqsim.ptq.integer_only.vision_transformer import check_vision_transformer, read_vision_transformer
from ptqsim.ptq.network.products.operations import PatchOperation
from ptqsim.ptq.network.timm_classes import timm_class

if TYPE_CHECKING:
    from ptqsim.ptq.network.quantized_model import QuantizedModel

_READERS: Final[dict[str, tuple[Any, Any]]] = {
    "models.vision_transformer.VisionTransformer": (check_vision_transformer, read_vision_transformer),
    "models.deit.VisionTransformerDistilled": (check_vision_transformer, read_vision_transformer),
    "models.swin_transformer.SwinTransformer": (check_swin, read_swin),
}


def check_units(model: Any, channels: int) -> Any:
    """The reader of a network whose products are operations, if everything else in it has an integer unit.

    Raises
    ------
    ValueError
        Where a module has none (it is named), or the network does not say how its images are normalized.
    """
    found = {timm_class(path): reader for path, reader in _READERS.items()}.get(type(model))
    if found is None:
        raise no_unit(type(model).__name__, model)
    check, read = found
    check(model)
    if not isinstance(model.patch_embed.proj, PatchOperation):
        raise no_unit("patch_embed.proj", model.patch_embed.proj)
    mean, std = normalization(model)
    if len(mean) != channels or len(std) != channels:
        raise ValueError(
            f"images have {channels} channels, and the network's normalization is mean {mean}, std {std}: set "
            "model.pretrained_cfg to one mean and one std per channel"
        )
    return read


def build_plan(quantized: QuantizedModel, images: torch.Tensor, options: IntegerOnly, seen: Seen | None = None) -> Plan:
    """The plan of a calibrated network, with the ranges that these images show.

    Parameters
    ----------
    quantized : QuantizedModel
        Calibrated; it is left as it is.
    images : float tensor [N, C, H, W]
        Calibration images, normalized.
    options : IntegerOnly
    seen : Seen, optional
        What `observe` has found on these images; it serves any number of plans of one network.

    Raises
    ------
    ValueError
        Where the network has an operation without an integer unit (it is named), where a residual is too narrow, or
        where a format has no integer form.
    """
    if not isinstance(options, IntegerOnly):
        raise ArgumentTypeError(f"options are {options!r}; legal is a ptqsim.ptq.IntegerOnly")
    model: Any = quantized.model
    read = check_units(model, images.shape[1])
    mean, std = normalization(model)
    channels, height, width = (int(side) for side in images.shape[1:])
    build = Builder(quantized, (channels, height, width), options, seen or observe(quantized, images))
    projection = pixel_projection(model.patch_embed.proj, mean, std, images)
    plan: Plan = read(build, model, projection, (mean, std))
    return plan
