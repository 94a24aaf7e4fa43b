"""Ranges of a network that have no format yet, from one pass of the calibration images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ptqsim import units
from ptqsim.formats.base import NumberFormat
from ptqsim.ptq.integer_only.functions import index_format, is_activation
from ptqsim.ptq.network.products.operations import MatmulOperation

if TYPE_CHECKING:
    from ptqsim.ptq.network.quantized_model import QuantizedModel

BATCH: Final = 8
SAMPLE: Final = 1 << 15
"""Pre-activations that are kept of a layer."""


@dataclass
class Seen:
    """Greatest magnitudes at the ends of modules, by name, and samples of pre-activations.

    Attributes
    ----------
    inputs, outputs : dict of str to float
        Of the first input of a module, and of its output.
    scores : dict of str to float array [H]
        Of the output of a product of Q and K, for every head.
    samples : dict of str to float64 array
        Inputs of activation functions, always with the least and the greatest.
    index_formats : dict
        Formats of pre-activations that were found before, by all that they depend on.
    """

    inputs: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, float] = field(default_factory=dict)
    scores: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    samples: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    index_formats: dict[tuple[str, NumberFormat, int, bool], NumberFormat] = field(default_factory=dict)

    def index_format(
        self, name: str, kind: type[units.Activation], out: NumberFormat, bits: int, uniform: bool
    ) -> NumberFormat:
        """The format of the pre-activations of a function by name; the rest is as for `functions.index_format`."""
        key = (name, out, bits, uniform)
        if key not in self.index_formats:
            self.index_formats[key] = index_format(kind, self.samples[name], out, bits, uniform)
        return self.index_formats[key]


def observe(quantized: QuantizedModel, images: torch.Tensor) -> Seen:
    """Run the fake-quantized network over images once and look at every module."""
    seen = Seen()
    parts: dict[str, list[torch.Tensor]] = {}
    rounds = -(-len(images) // BATCH)

    def look(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            if args and isinstance(args[0], torch.Tensor):
                seen.inputs[name] = max(seen.inputs.get(name, 0.0), _largest(args[0]))
                if is_activation(module):
                    parts.setdefault(name, []).append(_sampled(args[0], SAMPLE // rounds))
            if isinstance(output, torch.Tensor):
                seen.outputs[name] = max(seen.outputs.get(name, 0.0), _largest(output))
                if isinstance(module, MatmulOperation) and module.kind == "matmul_qk":
                    heads = output.detach().abs().amax(dim=tuple(i for i in range(output.ndim) if i != 1))
                    found = heads.double().cpu().numpy()
                    seen.scores[name] = np.maximum(seen.scores.get(name, found), found)

        return hook

    handles = [module.register_forward_hook(look(name)) for name, module in quantized.model.named_modules() if name]
    mode, device = quantized.mode, next(quantized.model.parameters()).device
    quantized.mode = "fake_quant"
    try:
        for start in range(0, len(images), BATCH):
            quantized(images[start : start + BATCH].to(device))
    finally:
        quantized.mode = mode
        for handle in handles:
            handle.remove()
    seen.samples = {name: torch.cat(values).double().cpu().numpy() for name, values in parts.items()}
    return seen


def _largest(x: torch.Tensor) -> float:
    return float(x.detach().abs().max()) if x.numel() and x.is_floating_point() else 0.0


def _sampled(x: torch.Tensor, count: int) -> torch.Tensor:
    flat = x.detach().reshape(-1)
    step = max(1, flat.numel() // max(count, 1))
    return torch.cat([flat[::step], flat.min()[None], flat.max()[None]])
