"""Proof by recomputation: outputs of every operation, checked against the reference in Python integers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import ptqsim as pq
from ptqsim.common.progress import Progress, silent
from ptqsim.common.validation import checked_seed
from ptqsim.errors import check_positive
from ptqsim.ptq.network.admission.images import check_images
from ptqsim.ptq.network.products.blocked import AnyArray, plain_codes
from ptqsim.ptq.network.products.execute import IntegerProduct
from ptqsim.ptq.network.quantized_model import QuantizedModel


@dataclass
class Check:
    """Outputs of one operation that were recomputed.

    Attributes
    ----------
    outputs : int
        Number of outputs that were recomputed.
    mismatches : int
        Number of them that were not equal; a number other than 0 is a defect of a kernel.
    first : str
        Index of the first mismatch, and both values.
    """

    outputs: int = 0
    mismatches: int = 0
    first: str = ""


def verify(
    quantized: QuantizedModel,
    images: torch.Tensor,
    *,
    outputs: int = 10_000,
    batch: int = 10,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Check]:
    """Run images in integer mode and recompute a sample of every operation's outputs.

    The recomputation starts from the codes that really met on the datapath; it decodes, aligns, multiplies and
    accumulates them in Python integers, in the layer's own accumulator (:mod:`ptqsim.datapath.reference`), or of blocks
    in its register for these (:mod:`ptqsim.datapath.blocks.block_reference`).

    Parameters
    ----------
    quantized : QuantizedModel
    images : float tensor [N, C, H, W]
        Enough for ``outputs``: a classifier's last layer has one output per class and image.
    outputs : int
        Least number of outputs to check of each operation, drawn without replacement within each batch of images.
    batch : int
        Images run at a time.
    seed : int
        Seed of the sample.
    progress : callable
        Called with the images done and all images.

    Returns
    -------
    dict of str to Check
        By operation.

    Raises
    ------
    ValueError
        Where the images give an operation too few outputs.
    """
    check_images(images, quantized.model)
    check_positive("the number of outputs", outputs)
    check_positive("the number of images at a time", batch)
    checks = {name: Check() for name in quantized.layers}
    random = np.random.RandomState(checked_seed(seed))
    rounds = -(-len(images) // batch)
    per_round = -(-outputs // rounds)

    def recompute(name: str, group: int, a: AnyArray, b: AnyArray, result: pq.MatmulResult) -> None:
        layer = quantized.layers[name]
        check = checks[name]
        chosen = random.permutation(result.acc.size)[: -(-per_round // max(layer.groups))]
        positions = (tuple(int(i) for i in np.unravel_index(flat, result.acc.shape)) for flat in chosen)
        for position, expected in _recomputed(a, b, layer.integer, result.acc.shape, positions):
            got = result.acc[position].item()
            check.outputs += 1
            if got != expected and not (np.isnan(got) and np.isnan(expected)):
                check.first = check.first or f"group {group}, output {position}: {got} instead of {expected}"
                check.mismatches += 1

    previous = quantized.mode
    quantized.mode = "integer"
    for layer in quantized.layers.values():
        layer.integer.recorder = recompute
    try:
        for start in range(0, len(images), batch):
            quantized(images[start : start + batch])
            progress(min(start + batch, len(images)), len(images))
    finally:
        quantized.mode = previous
        for layer in quantized.layers.values():
            layer.integer.recorder = None
    for name, check in checks.items():
        if check.outputs < outputs:
            raise ValueError(
                f"{len(images)} images gave layer {name!r} {check.outputs} outputs to check, {outputs} were asked for: "
                f"give at least {-(-len(images) * outputs // max(check.outputs, 1))} images"
            )
    return checks


Position = tuple[int, ...]


def _recomputed(
    a: AnyArray, b: AnyArray, unit: IntegerProduct, shape: tuple[int, ...], positions: Iterable[Position]
) -> Iterator[tuple[Position, Any]]:
    """Positions of the result, and what the reference says of them."""
    if isinstance(a, pq.BlockArray) and isinstance(b, pq.BlockArray):
        for position, row, column in _lines_of_blocks(a, b, shape, positions):
            yield position, pq.block_reference.matmul(row, column, unit.register)[0][0]
        return
    (plain_a,), (plain_b,) = plain_codes([a]), plain_codes([b])
    whole = pq.reference.needs_operands(unit.accumulator)
    for position, left, right in _lines(plain_a, plain_b, shape, positions, whole):
        yield position, pq.reference.dot(left, right, unit.accumulator)


def _lines_of_blocks(
    a: pq.BlockArray, b: pq.BlockArray, shape: tuple[int, ...], positions: Iterable[Position]
) -> Iterator[tuple[Position, pq.BlockArray, pq.BlockArray]]:
    """The row [1, K] and the column [K, 1] of blocks that meet at each position; both arrays have the depth last."""
    of_a, of_b = (
        [np.broadcast_to(part, shape[:-2] + part.shape[len(one.shape) - 2 :]) for part in (one.codes, one.scales)]
        for one in (a, b)
    )
    for position in positions:
        *lead, i, j = position
        row, column = ([part[(*lead, line)][None] for part in parts] for parts, line in ((of_a, i), (of_b, j)))
        yield (
            position,
            pq.BlockArray(row[0], row[1], a.format, a.depth, -1),
            pq.BlockArray(column[0], column[1], b.format, b.depth, -2),
        )


def _lines(
    a: pq.QuantizedArray, b: pq.QuantizedArray, shape: tuple[int, ...], positions: Iterable[Position], whole: bool
) -> Iterator[tuple[Position, list[Any], list[Any]]]:
    """The rows and columns of Python integers (or `whole` operands) that meet at each position."""
    a_values, b_values = _Meanings(a.format, whole), _Meanings(b.format, whole)
    a_codes = np.broadcast_to(a.codes, shape[:-2] + a.codes.shape[-2:])
    b_codes = np.broadcast_to(b.codes, shape[:-2] + b.codes.shape[-2:])
    for position in positions:
        *lead, i, j = position
        every: Any = slice(None)
        row = [a_values[c] for c in a_codes[(*lead, i)].tolist()]
        column = [b_values[c] for c in b_codes[(*lead, every, j)].tolist()]
        yield position, row, column


class _Meanings(dict[int, Any]):
    """Meaning of each code of a format by the reference, as a whole where that matters; found when asked for."""

    def __init__(self, number_format: pq.NumberFormat, whole: bool) -> None:
        super().__init__()
        self._format, self._whole = number_format, whole

    def __missing__(self, code: int) -> Any:
        operand = pq.reference.operand(code, self._format)
        self[code] = operand if self._whole else operand.aligned
        return self[code]
