"""The loss that each operand of a calibrated network causes when it alone is quantized."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ptqsim.common.progress import Progress, silent
from ptqsim.errors import check_positive
from ptqsim.ptq.datasets.load import Dataset
from ptqsim.ptq.evaluation.difference import Mean
from ptqsim.ptq.evaluation.recorded_blocks import RecordedBlocks
from ptqsim.ptq.network.products.fake_quant import fake_quantize
from ptqsim.ptq.network.products.operations import MatmulOperation, Mode
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.network.tasks.task import task_of
from ptqsim.ptq.threads import one_thread

Product = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""The product of canonical operands a [Ga, ..., M, K] and b [Gb, ..., K, N]."""


@dataclass(frozen=True)
class OperandLoss:
    """The divergence from the float network with one operand of one operation quantized.

    Attributes
    ----------
    layer : str
        Name of the operation.
    side : {"a", "b"}
        Left or right operand.
    is_weight : bool
    divergence : float64 tensor [N]
        Of every image, by the measure of the task: KL(float || quantized) of a classifier, in nats.
    """

    layer: str
    side: str
    is_weight: bool
    divergence: torch.Tensor

    @property
    def operand(self) -> str:
        """Layer and side, as ``blocks.0.attn.qkv:a``."""
        return f"{self.layer}:{self.side}"

    @property
    def mean(self) -> Mean:
        """Mean over the images, with its standard error."""
        return Mean.of(self.divergence)


def operand_losses(
    quantized: QuantizedModel,
    data: Dataset,
    *,
    limit: int = 128,
    batch: int = 32,
    progress: Progress = silent,
) -> list[OperandLoss]:
    """Quantize every operand of every operation alone, and measure how far the network departs from float.

    Each takes one pass over the images, from the block of its operation on; the blocks before it give what they gave
    the float network.  A bias that was corrected for quantized operands is left out.

    Parameters
    ----------
    quantized : QuantizedModel
        Calibrated; it is as before afterwards.
    data : Dataset
    limit : int
        Images, the first ones of the data.
    batch : int
        Images at a time.
    progress : callable
        Called with the operands done and all of them, over all batches.

    Returns
    -------
    list of OperandLoss
        In the order of the layers, the left operand first.

    Raises
    ------
    ValueError
        If a layer has no formats, or there are no images.
    """
    check_positive("the number of images", limit)
    check_positive("the number of images at a time", batch)
    count = min(limit, len(data))
    if count == 0:
        raise ValueError(f"{data.name} has no images: name data with at least one")
    operands = [(layer, side) for layer in quantized.layers.values() for side in "ab"]
    for layer in quantized.layers.values():
        if layer.formats is None:
            raise ValueError(f"layer {layer.name!r} has no formats: calibrate the model first")
    parts: list[list[torch.Tensor]] = [[] for _ in operands]
    task, mode = task_of(quantized.model), quantized.mode
    starts = range(0, count, batch)
    done = 0
    quantized.mode = "float"
    try:
        with one_thread():  # no bit depends on the number of threads
            blocks = RecordedBlocks(quantized.model, _images(quantized, data, range(1)))
            for start in starts:
                images = _images(quantized, data, range(start, min(start + batch, count)))
                exact = blocks.record(images)
                for (layer, side), found in zip(operands, parts, strict=True):
                    with one_operand_quantized(layer, side):
                        found.append(task.divergence(blocks.run(images, layer.name), exact).cpu())
                    done += 1
                    progress(done, len(operands) * len(starts))
    finally:
        quantized.mode = mode
    return [
        OperandLoss(layer.name, side, side == "b" and layer.constant_b is not None, torch.cat(found))
        for (layer, side), found in zip(operands, parts, strict=True)
    ]


@contextmanager
def one_operand_quantized(layer: MatmulOperation, side: str) -> Iterator[None]:
    """Run a network with one operand of one operation rounded to its formats, or codes, and all else in float."""

    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        formats = layer._require_formats()
        return torch.matmul(fake_quantize(a, formats.a), b) if side == "a" else a @ layer._fake_b(b, formats)

    with product_replaced(layer, product):
        yield


@contextmanager
def product_replaced(layer: MatmulOperation, product: Product) -> Iterator[None]:
    """Run a network in float with another product of the canonical operands in one operation."""
    mode, observer = layer.mode, layer.observer
    # float mode with an observer takes the canonical product instead of the fused linear layer
    layer.mode, layer.observer = Mode.FLOAT, lambda op, a, b, out: None
    layer.product = product  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        del layer.product
        layer.mode, layer.observer = mode, observer


def _images(quantized: QuantizedModel, data: Dataset, indices: range) -> torch.Tensor:
    parameter = next(quantized.model.parameters())
    return data.read(indices)[0].to(parameter.device, parameter.dtype)
