"""Reconstruction of a network, one part after the other, each on the output of the quantized parts before it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import torch
from torch import nn

from ptqsim.common.progress import Progress
from ptqsim.ptq.calibration.layer import LayerResult
from ptqsim.ptq.calibration.layer_cache import LayerCache
from ptqsim.ptq.calibration.methods.protocol import Reconstruction
from ptqsim.ptq.calibration.reconstruction.distill import distill
from ptqsim.ptq.calibration.reconstruction.learned import LearnedOperation, norms_in
from ptqsim.ptq.calibration.reconstruction.low_rank import LowRankFisher
from ptqsim.ptq.calibration.reconstruction.parts import Part, parts_of
from ptqsim.ptq.calibration.reconstruction.recorded import inputs_of, outputs_of
from ptqsim.ptq.calibration.reconstruction.train import PartData, train
from ptqsim.ptq.network.admission.given import no_autocast
from ptqsim.ptq.network.products.operations import MatmulOperation, Mode, WeightOperation
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.threads import one_thread

TOLD: Final = 10
"""Steps between two words on the progress."""


def reconstruct(
    quantized: QuantizedModel,
    network: nn.Module,
    images: torch.Tensor,
    options: Reconstruction,
    seed: int,
    kept: LayerCache,
    key: Mapping[str, Any],
    progress: Progress,
) -> list[dict[str, Any]]:
    """Train every part of a calibrated network, which is changed.

    Parameters
    ----------
    quantized : QuantizedModel
        With formats in all layers.
    network : nn.Module
        The float network that it was made from.
    images : float tensor [N, C, H, W]
        Calibration images.
    options : Reconstruction
    seed : int
        Of the images of every step, and of what is left in float.
    kept : LayerCache
        Finished parts are kept in it, and found there.
    key : mapping
        Everything that the formats of the layers follow from.
    progress : callable
        Called with steps done, all steps, and the name of the part with its loss, relative to that before training.

    Returns
    -------
    list of dict
        Name and loss of every part, ``before`` and ``after`` it was trained, and of the distillation.

    Raises
    ------
    ValueError
        Where a part gives something else than one tensor, or its loss is not finite.
    """
    parts = parts_of(quantized.model, quantized.layers, by_layer=options.by_layer)
    device = next(quantized.model.parameters()).device
    exact, images = QuantizedModel(network), images.to(device)
    quantized.mode = Mode.FAKE_QUANT
    trail: list[dict[str, Any]] = []
    _warn_of_few(parts, quantized, images)
    with one_thread(device), no_autocast():
        for at, part in enumerate(parts):
            operations = [quantized.layers[name] for name in part.operations]
            about = {**key, "part": part.name}
            found = {op.name: result for op in operations if (result := kept.get(op.name, about)) is not None}
            if len(found) < len(operations):
                _train(
                    quantized,
                    exact.model,
                    part,
                    operations,
                    [quantized.layers[name] for later in parts[at + 1 :] for name in later.operations],
                    images,
                    options,
                    seed + at,
                    _steps(progress, part, at, len(parts), options.iterations),
                )
                found = _results(operations, quantized, part.name)
                for name, result in found.items():
                    kept.put(name, about, result)
            for op in operations:
                found[op.name].apply(op)
                quantized.tune(found[op.name].norms)
            progress((at + 1) * options.iterations, len(parts) * options.iterations, part.name)
            trail.append({"part": part.name, **_losses(operations[0], "reconstruction")})
    if options.distill:
        trail.append(
            {"part": "distillation", **_distilled(quantized, network, images, options, seed, kept, key, progress)}
        )
    return trail


def _distilled(
    quantized: QuantizedModel,
    network: nn.Module,
    images: torch.Tensor,
    options: Reconstruction,
    seed: int,
    kept: LayerCache,
    key: Mapping[str, Any],
    progress: Progress,
) -> dict[str, float]:
    """Distil the network, or take it from where it is kept; the divergence before and after."""
    about, layers = {**key, "part": ""}, quantized.layers
    found = {name: result for name in layers if (result := kept.get(name, about)) is not None}
    if len(found) < len(layers):
        divergence = distill(quantized, network, images, options, seed, progress)
        for op in layers.values():
            op.report = {**op.report, "distillation": divergence}
        for name, result in _results(list(layers.values()), quantized).items():
            kept.put(name, about, result)
    else:
        for name, result in found.items():
            result.apply(layers[name])
            quantized.tune(result.norms)
    return _losses(next(iter(layers.values())), "distillation")


def _train(
    quantized: QuantizedModel,
    exact: nn.Module,
    part: Part,
    operations: Sequence[MatmulOperation],
    later: Sequence[MatmulOperation],
    images: torch.Tensor,
    options: Reconstruction,
    seed: int,
    progress: Any,
) -> None:
    generator, model = torch.Generator().manual_seed(seed), quantized.model
    inputs, arguments = inputs_of(model, part.name, images)
    exact_inputs, _ = inputs_of(exact, part.name, images)
    target, gradient = outputs_of(exact, part.name, images)
    weights = gradient.square() if options.fisher else None
    if weights is not None:
        weights = weights / weights.mean().clamp(min=torch.finfo(weights.dtype).tiny)
    learned = [LearnedOperation(op, options.drop, generator) for op in operations]
    norms = norms_in(quantized, part.name) if options.norm_rate else []
    fisher = LowRankFisher(model, exact, part.name, later, images, target) if options.rank else None
    data = PartData(inputs, exact_inputs, target, weights, arguments)
    try:
        losses = train(model.get_submodule(part.name), learned, norms, data, options, fisher, generator, progress)
    except FloatingPointError as error:
        raise ValueError(
            f"reconstruction stopped at {part.name}: {error}; the parts before it are kept where there is a state "
            "folder: try lower rates"
        ) from None
    for op in operations:
        op.report = {**op.report, "reconstruction": losses}


def _losses(op: MatmulOperation, step: str) -> dict[str, float]:
    found = op.report[step]
    assert isinstance(found, dict)
    return found


def _results(
    operations: Sequence[MatmulOperation], quantized: QuantizedModel, part: str = ""
) -> dict[str, LayerResult]:
    """Everything of operations that is kept, and with the first one the learned norms of a part, or of all of them."""
    norms = {name: value.cpu() for name, value in quantized.tuned.items() if not part or name.startswith(f"{part}.")}
    found = {op.name: _result(op) for op in operations}
    first = operations[0].name
    return found | {first: replace(found[first], norms=norms)}


def _result(op: MatmulOperation) -> LayerResult:
    assert op.formats is not None
    if not isinstance(op, WeightOperation):
        return LayerResult(op.formats, op.depth, op.report)
    bias = None if op.corrected_bias is None else op.corrected_bias.cpu()
    return LayerResult(op.formats, op.depth, op.report, op.weight_codes, bias)


def _steps(progress: Progress, part: Part, at: int, parts: int, iterations: int) -> Any:
    def report(step: int, loss: float) -> None:
        if step % TOLD == 0:
            progress(at * iterations + step, parts * iterations, f"{part.name}, loss {loss:.3f} of 1")

    return report


def _warn_of_few(parts: Sequence[Part], quantized: QuantizedModel, images: torch.Tensor) -> None:
    """Warn where images give fewer values to learn from than there are weights to be rounded."""
    sizes: dict[str, int] = {}

    def count(name: str) -> Any:
        return lambda _module, _args, out: sizes.__setitem__(name, out.numel() if isinstance(out, torch.Tensor) else 0)

    handles = [quantized.model.get_submodule(part.name).register_forward_hook(count(part.name)) for part in parts]
    quantized(images[:1])
    for handle in handles:
        handle.remove()
    lacking: dict[str, tuple[int, int]] = {}
    for part in parts:
        weights = [op.weight.numel() for op in map(quantized.layer, part.operations) if isinstance(op, WeightOperation)]
        if 0 < sizes[part.name] * len(images) < sum(weights):
            lacking[part.name] = sum(weights), sizes[part.name] * len(images)
    if lacking:
        name, (weights, values) = max(lacking.items(), key=lambda item: item[1][0])  # type: ignore[assignment]
        enough = max(-(-count * len(images) // given) for count, given in lacking.values())
        warnings.warn(
            f"{len(lacking)} of {len(parts)} parts have more weights to be rounded than the images give values to "
            f"learn from: {name} has {weights:,}, and {len(images)} images give {values:,}; take {enough} images or "
            "more",
            stacklevel=2,
        )
