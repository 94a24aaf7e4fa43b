"""Proof by recomputation for integer-only networks: outputs of every unit, and whole images from pixels to logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ptqsim.common.progress import Progress, silent
from ptqsim.common.validation import checked_seed
from ptqsim.errors import check_positive
from ptqsim.integer_only import Apply, Plan, execute, reference
from ptqsim.integer_only.execution import integers_of
from ptqsim.integer_only.steps import Step
from ptqsim.ptq.evaluation.verify import Check
from ptqsim.ptq.network.quantized_model import QuantizedModel


def verify_units(
    quantized: QuantizedModel,
    images: torch.Tensor,
    *,
    outputs: int = 10_000,
    batch: int = 10,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Check]:
    """Run images in integer-only mode and recompute a sample of every unit's outputs by its reference.

    Whole rows are recomputed, as a normalization or a softmax has no output without its row.

    Parameters
    ----------
    quantized : QuantizedModel
        With an integer-only network.
    images : uint8 tensor [N, C, H, W]
        Pixels.
    outputs : int
        Least number of outputs to check of each step; all of them where the images give fewer.
    batch, seed, progress : int, int and callable
        As for :func:`ptqsim.ptq.evaluation.verify.verify`.

    Returns
    -------
    dict of str to Check
        By step.
    """
    check_positive("the number of outputs", outputs)
    check_positive("the number of images at a time", batch)
    plan = quantized.required_plan()
    pixels = plan.checked_images(images.cpu().numpy())
    random = np.random.RandomState(checked_seed(seed))
    checks = {step.name: Check() for step in plan.steps if isinstance(step, Apply)}
    share = -(-outputs // -(-len(pixels) // batch))

    def recompute(step: Step, values: Mapping[str, NDArray[Any]], made: NDArray[Any]) -> None:
        if isinstance(step, Apply):
            inputs = [integers_of(values[name], plan.edges[name]) for name in step.sources]
            _check_rows(step, inputs, made, share, random, checks[step.name])

    for start in range(0, len(pixels), batch):
        execute(plan, pixels[start : start + batch], dict(quantized.accumulators), recompute)
        progress(min(start + batch, len(pixels)), len(pixels))
    return checks


def verify_images(quantized: QuantizedModel, images: torch.Tensor, *, progress: Progress = silent) -> Check:
    """Recompute the logits of whole images in Python integers, end to end.

    Parameters
    ----------
    quantized : QuantizedModel
        With an integer-only network.
    images : uint8 tensor [N, C, H, W]
        Pixels.
    progress : callable
        Called with the images done and all images.
    """
    plan, accumulators = quantized.required_plan(), dict(quantized.accumulators)
    pixels, check = plan.checked_images(images.cpu().numpy()), Check()
    for index, image in enumerate(pixels):
        edges = traced(plan, image, quantized)
        expected = reference(plan, image, accumulators)
        for name, values in edges.items():
            wrong = [place for place, (got, want) in enumerate(zip(values, expected[name], strict=True)) if got != want]
            if wrong and not check.first:
                place = wrong[0]
                check.first = f"image {index}, {name} {place}: {values[place]} instead of {expected[name][place]}"
            check.mismatches += len(wrong)
            check.outputs += len(values)
        progress(index + 1, len(pixels))
    return check


def traced(plan: Plan, image: NDArray[Any], quantized: QuantizedModel) -> dict[str, list[int]]:
    """Every edge of one image as the kernels compute it, in C order."""
    edges: dict[str, list[int]] = {}

    def keep(step: Step, values: Mapping[str, NDArray[Any]], made: NDArray[Any]) -> None:
        edges[step.name] = np.ascontiguousarray(made[0]).ravel().tolist()

    execute(plan, image[None], dict(quantized.accumulators), keep)
    return edges


def _check_rows(
    step: Apply,
    inputs: list[NDArray[np.int64]],
    made: NDArray[Any],
    count: int,
    random: np.random.RandomState,
    check: Check,
) -> None:
    units, groups = step.units, len(step.units)
    length = made.shape[-1]
    for group, unit in enumerate(units):
        one = slice(None) if groups == 1 else group
        rows = [np.ascontiguousarray(x[:, one]).reshape(-1, length) for x in inputs]
        codes = np.ascontiguousarray(made[:, one]).reshape(-1, length)
        chosen = random.permutation(len(codes))[: -(-count // (groups * length))]
        expected = unit.reference(*(x[chosen] for x in rows))
        differ = np.argwhere(expected != codes[chosen])
        if len(differ) and not check.first:
            row, place = differ[0]
            got, want = codes[chosen][row, place], expected[row, place]
            check.first = f"unit {group}, row {chosen[row]}, output {place}: {got} instead of {want}"
        check.mismatches += len(differ)
        check.outputs += expected.size
