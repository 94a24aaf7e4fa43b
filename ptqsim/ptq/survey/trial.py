"""A trial of one architecture: built small with random weights, calibrated, run in integers, recomputed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import torch
from torch import nn

from ptqsim.ptq.calibration.calibrate import calibrate
from ptqsim.ptq.evaluation.verify import verify
from ptqsim.ptq.network.admission.unsupported import ProductCount, refuse_stray_products
from ptqsim.ptq.network.input_size import input_size
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.survey.structure import build, first_line

IMAGES: Final = 2
OUTPUTS: Final = 2
"""Outputs of every operation that are recomputed, at least; the smallest have one per image."""
_SIDES: Final = (64, 56, 96, 112, 128, 160, 192, 224, 256)
_DEPTHS: Final = (2, 1, 3)
_ROUNDING: Final = 1e-3


def trial(name: str) -> str:
    """Run an architecture in every mode; what failed, empty where nothing did.

    The smallest legal image and, where timm lets them be chosen, few blocks are taken.  Checked are: float mode gives
    the bits of the original; every product is an operation, and runs once; probabilities are probabilities; calibration
    succeeds; in integer mode outputs are finite, no product takes place beside the operations, and a sample of every
    operation's outputs equals the reference in Python integers.
    """
    torch.manual_seed(0)
    try:
        model, side = smallest(name)
        images = torch.randn(IMAGES, input_size(model)[0], *side)
        return _fault(model, images)
    except Exception as error:  # of timm, of torch: it is what stands in the table
        return first_line(error)


def smallest(name: str) -> tuple[nn.Module, tuple[int, int]]:
    """An architecture with few blocks for a small image, with random values in all of its parameters; and the image."""
    arguments, side = next(_that_run(name))
    model = build(name, "cpu", **arguments)
    with torch.no_grad():
        for parameter in model.parameters():  # none of the zeros and ones that training would begin with
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    # a product of torch may sum in another order for a weight that has a gradient, and none is wanted
    return model.requires_grad_(False), side


def _that_run(name: str) -> Iterator[tuple[dict[str, Any], tuple[int, int]]]:
    """Arguments and image sizes that timm accepts, small ones first, tried on the meta device."""
    height, width = input_size(build(name, "meta"))[1:]
    sides = [(side, side) for side in _SIDES if side < min(height, width)]
    depths: list[dict[str, Any]] = [{"depth": depth} for depth in _DEPTHS]
    depths += [{"depths": (1,) * stages} for stages in (4, 3)]
    for depth in (*depths, {}):
        for side in (*sides, (height, width)):
            for arguments in ({**depth, "img_size": side}, depth):
                if _runs(name, arguments, side):
                    yield arguments, side


def _runs(name: str, arguments: dict[str, Any], side: tuple[int, int]) -> bool:
    try:
        model = build(name, "meta", **arguments)
        with torch.no_grad():
            model(torch.empty(1, input_size(model)[0], *side, device="meta"))
    except Exception:  # timm's refusals are of every kind
        return False
    return True


def _fault(model: nn.Module, images: torch.Tensor) -> str:
    with torch.no_grad(), ProductCount() as counted:
        expected = model(images)
    quantized = calibrate(model, images, method="percentile")
    if len(quantized.layers) != counted.count:
        return f"of {counted.count} products that were counted {len(quantized.layers)} are operations"
    quantized.mode = "float"
    if not torch.equal(quantized(images), expected):
        return "float mode does not give the bits of the original"
    if (odd := _no_probabilities(quantized, images)) is not None:
        return f"operation {odd!r} takes for probabilities what is none"
    finite: list[bool] = []
    handle = quantized.model.register_forward_hook(lambda *call: finite.append(bool(call[-1].isfinite().all())))
    try:
        with refuse_stray_products(quantized.model):
            checks = verify(quantized, images, outputs=OUTPUTS)
    finally:
        handle.remove()
    if finite != [True]:
        return "integer mode gives NaN or infinite outputs"
    wrong = next((f"{layer}: {check.first}" for layer, check in checks.items() if check.mismatches), "")
    return f"integer mode differs from the reference in {wrong}" if wrong else ""


def _no_probabilities(quantized: QuantizedModel, images: torch.Tensor) -> str | None:
    """The first operation whose left operand is said to be that of a softmax, and has no rows that add up to one."""
    odd: list[str] = []

    def look(op: MatmulOperation, a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> None:
        if op.a_kind == "softmax" and (a.min() < 0 or (a.sum(dim=-1) - 1).abs().max() > _ROUNDING):
            odd.append(op.name)

    for op in quantized.layers.values():
        op.observer = look
    try:
        quantized(images)
    finally:
        for op in quantized.layers.values():
            op.observer = None
    return odd[0] if odd else None
