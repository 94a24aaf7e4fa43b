"""The codes that meet in one operation of a calibrated model."""

from __future__ import annotations

import torch

import ptqsim as pq
from ptqsim.ptq.network.products.blocked import AnyArray
from ptqsim.ptq.network.quantized_model import QuantizedModel


def record_codes(
    quantized: QuantizedModel, images: torch.Tensor, layer: str, group: int = 0
) -> tuple[AnyArray, AnyArray]:
    """Run images in integer mode with exact accumulators and keep both operands of one product.

    Parameters
    ----------
    quantized : QuantizedModel
        Its mode and accumulators are as before afterwards.
    images : float tensor [N, C, H, W]
    layer : str
        Name of the operation.
    group : int
        Index of one of its products: a head, or a part of a qkv layer.

    Returns
    -------
    tuple of two QuantizedArray, or of two BlockArray
        a [..., M, K] and b [..., K, N]; where all images meet the same weights, a is [N * tokens, K] and b is [K, N].

    Raises
    ------
    ValueError
        If there is no such layer or group.
    """
    recorded: dict[int, tuple[AnyArray, AnyArray]] = {}

    def record(name: str, number: int, a: AnyArray, b: AnyArray, result: pq.MatmulResult) -> None:
        recorded[number] = a, b

    unit = quantized.layer(layer).integer
    mode, accumulators, recorder = quantized.mode, dict(quantized.accumulators), unit.recorder
    exact = pq.Accumulator(bits=63)
    quantized.mode = "integer"
    for name in accumulators:
        quantized.accumulators[name] = exact
    unit.recorder = record
    try:
        quantized(images)
    finally:
        quantized.mode, unit.recorder = mode, recorder
        quantized.accumulators.update(accumulators)
    if group not in recorded:
        legal = f"group 0 to {max(recorded)}" if len(recorded) > 1 else "group 0"
        raise ValueError(f"layer {layer!r} has no group {group}; legal is {legal}")
    a, b = recorded[group]
    if isinstance(a, pq.QuantizedArray) and len(b.shape) == 2:
        return a.reshape(-1, a.shape[-1]), b
    return a, b
