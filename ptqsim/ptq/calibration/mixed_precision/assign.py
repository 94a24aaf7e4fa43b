"""From a calibrated network to a width for every layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from torch import nn

from ptqsim.common.progress import Progress, prefixed
from ptqsim.ptq.calibration.layer import LayerResult
from ptqsim.ptq.calibration.layerwise import Bits, Layerwise
from ptqsim.ptq.calibration.methods import Method
from ptqsim.ptq.calibration.mixed_precision.allocate import Allocation, Floats, optimum, pareto
from ptqsim.ptq.calibration.mixed_precision.hessian import weight_error, weight_traces
from ptqsim.ptq.calibration.mixed_precision.modules import TransformerModule, transformer_modules, weight_count
from ptqsim.ptq.calibration.mixed_precision.nuclear_norm import module_errors
from ptqsim.ptq.calibration.mixed_precision.options import MixedPrecision, Sensitivity
from ptqsim.ptq.network.products.operations import WeightOperation

_MEGABYTE = 8e6  # bits


def assign_bits(
    options: MixedPrecision, network: nn.Module, layerwise: Layerwise, method: Method, target: int, progress: Progress
) -> tuple[Bits, dict[str, Any]]:
    """Widths of all layers for a model size.

    Every layer is calibrated at every width, in parallel, as an error is that of a module whose input is exact; then
    modules are weighed and widths chosen.  What is in no MSA or MLP module (patch projection, classifier, Swin's patch
    merging) has the target's width; the paper does not say what its has.

    Parameters
    ----------
    options : MixedPrecision
    network : nn.Module
        The float network.
    layerwise : Layerwise
        The calibration of its layers on the calibration images.
    method : Method
    target : int
        The width whose uniform use gives the default model size.
    progress : callable

    Returns
    -------
    bits : mapping
        Width of weights and of activations, the same, of every layer.
    report : dict
        Plain data: the widths and sensitivities by module, the model size, Omega of the choice and of the optimum, and
        how far the one is above the other.
    """
    layers = layerwise.quantized.layers
    modules = transformer_modules(layers)
    if not modules:
        raise ValueError("the model has no MSA or MLP module; mixed precision needs a vision transformer")
    widths = options.widths_for(target)
    parallel: Method = replace(method, paradigm="parallel")  # type: ignore[type-var]
    inside = [op.name for module in modules for op in module.operations]
    results: dict[int, dict[str, LayerResult]] = {}
    for width in widths:
        at = dict.fromkeys(inside, (width, width))
        results[width] = layerwise.run(parallel, at, prefixed(progress, f"W{width}A{width}"))
    weighed_by, sensitivity, omega = _weighed(options, network, layerwise, modules, results)
    outside = sum(weight_count(op) for name, op in layers.items() if name not in set(inside)) * target
    uniform = outside + target * sum(module.weights for module in modules)
    allowed = uniform if options.model_size is None else options.model_size * _MEGABYTE
    size = np.array([[module.weights * width for width in widths] for module in modules], dtype=np.float64)
    allocation = Allocation(omega, size / _MEGABYTE, sensitivity, (allowed - outside) / _MEGABYTE)
    heuristic, best = pareto(allocation), optimum(allocation)
    choice = heuristic if options.solver == "pareto" else best
    chosen = {module.name: widths[c] for module, c in zip(modules, choice, strict=True)}
    bits = dict.fromkeys(layers, (target, target))
    for module in modules:
        bits |= dict.fromkeys([op.name for op in module.operations], (chosen[module.name], chosen[module.name]))
    fallback = {} if weighed_by == options.sensitivity else {"fallback": _fallback(options.sensitivity, weighed_by)}
    return bits, {
        **fallback,
        "options": {**asdict(options), "widths": list(widths)},
        "bits": chosen,
        "sensitivity": dict(zip(chosen, sensitivity.tolist(), strict=True)),
        "model_size": (outside / _MEGABYTE) + allocation.taken(choice),
        "uniform_size": uniform / _MEGABYTE,
        "omega": {"pareto": allocation.cost(heuristic), "milp": allocation.cost(best)},
        "gap": allocation.cost(heuristic) / allocation.cost(best) - 1 if allocation.cost(best) > 0 else 0.0,
    }


def _weighed(
    options: MixedPrecision,
    network: nn.Module,
    layerwise: Layerwise,
    modules: Sequence[TransformerModule],
    results: Mapping[int, Mapping[str, LayerResult]],
) -> tuple[Sensitivity, Floats, Floats]:
    """The first sensitivity, from the one that was asked for on, whose Omega tells widths apart, and what it gives."""
    for name in sorted(Sensitivity, key=lambda name: name != options.sensitivity):
        sensitivity, omega = _omega(replace(options, sensitivity=name), network, layerwise, modules, results)
        if tells_widths_apart(omega):
            return name, sensitivity, omega
    raise ValueError(
        "mixed precision can't choose widths: by every sensitivity, every width of every module costs the same, or "
        "what is not finite; use the same width for all modules"
    )


def tells_widths_apart(omega: Floats) -> bool:
    """True if Omega [modules, widths] is finite and some module's differs between two widths."""
    return bool(np.isfinite(omega).all() and (omega != omega[:, :1]).any()) or omega.shape[1] == 1


def _fallback(asked: Sensitivity | str, used: Sensitivity) -> dict[str, str]:
    reason = f"by {asked} every width of every module costs the same, or what is not finite"
    return {"sensitivity": asked, "decided_by": used, "reason": reason}


def _omega(
    options: MixedPrecision,
    network: nn.Module,
    layerwise: Layerwise,
    modules: Sequence[TransformerModule],
    results: Mapping[int, Mapping[str, LayerResult]],
) -> tuple[Floats, Floats]:
    """Sensitivity of every module, and its Omega_i at every width."""
    if options.sensitivity == "nuclear_norm":
        norms, errors = module_errors(layerwise.quantized, layerwise.images, modules, results, options.attention)
        norms = least_for_zero(norms)
        return norms, norms[:, None] * errors  # Eq. 17
    traces = weight_traces(network, layerwise.images, options.probes, layerwise.seed)
    weights = [[op for op in module.operations if isinstance(op, WeightOperation)] for module in modules]
    # HAWQ-V2: the mean trace times the squared error of the weights, of each layer, added up over a module's
    omega = [
        [sum(traces[op.name] * weight_error(op, layers[op.name]) for op in ops) for layers in results.values()]
        for ops in weights
    ]
    counts = [sum(weight_count(op) for op in ops) for ops in weights]
    mean = [
        sum(traces[op.name] * weight_count(op) for op in ops) / count
        for ops, count in zip(weights, counts, strict=True)
    ]
    found = least_for_zero(np.array(mean))
    for i in np.flatnonzero(np.array(mean) == 0):  # its sum says nothing: it counts as the least sensitive of all
        omega[i] = [
            found[i] * sum(weight_error(op, layers[op.name]) for op in weights[i]) for layers in results.values()
        ]
    return found, np.array(omega)


def least_for_zero(sensitivity: Floats) -> Floats:
    """Zeros replaced by the least of the others, so that errors are weighed everywhere."""
    positive = sensitivity[sensitivity > 0]
    return np.where(sensitivity == 0, positive.min() if len(positive) else 0.0, sensitivity)
