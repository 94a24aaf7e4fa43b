"""All layers of a network calibrated by one method, in parallel or in sequence (PTQ4ViT appendix 6.2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Any

import torch
from torch import nn

from ptqsim.common.progress import Progress
from ptqsim.ptq.calibration.layer import LayerResult, calibrate_layer
from ptqsim.ptq.calibration.layer_cache import LayerCache
from ptqsim.ptq.calibration.methods import Method
from ptqsim.ptq.calibration.operand_rules import OperandRules
from ptqsim.ptq.network.description.identity import network_fingerprint, tensors_fingerprint
from ptqsim.ptq.network.products.operations import MatmulOperation, Mode
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.search.capture import Captured, capture, content_of
from ptqsim.ptq.threads import each, one_thread

Bits = Mapping[str, tuple[int, int]]
"""Width of weights and of activations, by layer."""


class Layerwise:
    """A network and its calibration images; a context manager that removes what was captured on disk.

    Parameters
    ----------
    network : nn.Module
        The float network, which is left as it is.
    images : float tensor [N, C, H, W]
    seed : int
    kept : LayerCache
        The cache of finished layers.
    captured : Captured, optional
        A capture of this network and these images, to be used instead of a new one.
    rules : OperandRules, optional
        Those by default if None.
    """

    def __init__(
        self,
        network: nn.Module,
        images: torch.Tensor,
        seed: int,
        kept: LayerCache,
        captured: Captured | None = None,
        rules: OperandRules | None = None,
    ) -> None:
        self.quantized = QuantizedModel(network)
        self.images = images
        self.seed = seed
        self.rules = rules or OperandRules()
        self.device = next(self.quantized.model.parameters()).device
        self._kept = kept
        self._given = captured
        self._own: list[Captured] = []
        if captured is not None and captured.content != content_of(self.quantized, images):
            raise ValueError(
                "what was captured is of other weights or images than those given: capture anew, after the last change "
                "of the weights"
            )
        self._content = {
            "network": network_fingerprint(network),
            "images": tensors_fingerprint([("images", images)]),
            "seed": seed,
            "device": self.device.type,
        }

    def __enter__(self) -> Layerwise:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for captured in self._own:
            captured.close()

    def captured(self, method: Method) -> Captured:
        """Tensors of every operation of the float network, with the gradient that the method needs; captured once."""
        needed = method.task_loss
        if self._given is not None:
            self._check_given(method, self._given)
            return self._given
        for captured in self._own:
            if needed in (None, captured.gradient):
                return captured
        self._own.append(capture(self.quantized, self.images, gradient=needed, seed=self.seed))
        return self._own[-1]

    def run(self, method: Method, bits: Bits, progress: Progress) -> dict[str, LayerResult]:
        """Calibrate layers.

        Parameters
        ----------
        method : Method
        bits : mapping
            Width of weights and activations by layer: of every one in sequence, of any in parallel.
        progress : callable
            Called with layers done, all layers, and the name of the one done last.
        """
        if self._given is not None:
            self._check_given(method, self._given)
        results = self._run_parallel if method.paradigm == "parallel" else self._run_sequential
        return results(method, bits, progress)

    def _run_parallel(self, method: Method, bits: Bits, progress: Progress) -> dict[str, LayerResult]:
        layers = {name: op for name, op in self.quantized.layers.items() if name in bits}
        # As the layers are independent, what does not matter to one is left out of its key: ablations share layers.
        keys = {name: self.key(method, {name: bits[name]}, method.idle_options(op)) for name, op in layers.items()}
        found = {name: kept for name in layers if (kept := self._kept.get(name, keys[name])) is not None}
        for done, name in enumerate(found, start=1):
            progress(done, len(layers), name)
        left = [op for op in layers.values() if op.name not in found]
        captured = self.captured(method) if left else None

        def calibrate(op: MatmulOperation) -> tuple[str, LayerResult]:
            assert captured is not None
            data = captured.on(self.device, op.name)
            result = calibrate_layer(op, data, method, *bits[op.name], self.rules)
            self._kept.put(op.name, keys[op.name], result)
            return op.name, result

        # Layers are independent of each other. On a CPU, one layer per thread beats many threads per layer, whose
        # products are small; and as each runs on one thread, no sum depends on their number.
        workers = torch.get_num_threads() if self.device.type == "cpu" else 1
        for name, result in each(calibrate, left, workers):
            found[name] = result
            progress(len(found), len(layers), name)
        return {name: found[name] for name in layers}

    def _run_sequential(self, method: Method, bits: Bits, progress: Progress) -> dict[str, LayerResult]:
        """One pass of all images, in which every operation is calibrated in its turn and then goes on quantized."""
        layers = self.quantized.layers
        key = self.key(method, bits)
        found: dict[str, LayerResult] = {}

        def observe(op: MatmulOperation, a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> None:
            result = self._kept.get(op.name, key)
            if result is None:
                exact = self.captured(method).on(self.device, op.name)
                data = exact.with_operands(op.calibrated_rows(a), b)
                result = calibrate_layer(op, data, method, *bits[op.name], self.rules)
                self._kept.put(op.name, key, result)
            result.apply(op)
            op.mode = Mode.FAKE_QUANT
            found[op.name] = result
            progress(len(found), len(layers), op.name)

        if any(self._kept.get(name, key) is None for name in layers):
            self.captured(method)  # before the pass, whose hooks it would meet
        try:
            for op in layers.values():
                op.observer = observe
            with torch.no_grad(), one_thread(self.device):
                self.quantized.model(self.images.to(self.device))
        finally:
            for op in layers.values():
                op.observer, op.formats, op.mode = None, None, Mode.FLOAT
        return {name: found[name] for name in layers}

    def key(self, method: Method, bits: Bits, idle: Collection[str] = ()) -> dict[str, Any]:
        """Everything that decides a layer, but for idle options: in sequence also the widths of the others."""
        options = {name: value for name, value in asdict(method).items() if name not in idle}  # type: ignore[call-overload]
        name = f"{type(method).__module__}.{type(method).__qualname__}"
        widths = {n: list(b) for n, b in bits.items()}
        key: dict[str, Any] = {**self._content, "method": name, "options": options, "bits": widths}
        return key | self.rules.about()

    def _check_given(self, method: Method, captured: Captured) -> None:
        if method.task_loss not in (None, captured.gradient):
            raise ValueError(
                f"method {method.name!r} needs gradients of kind {method.task_loss!r}, but those captured are of kind "
                f"{captured.gradient!r}: capture with gradient={method.task_loss!r}"
            )
        if missing := [name for name in self.quantized.layers if name not in captured]:
            raise ValueError(f"layer {missing[0]!r} was not captured: capture from the same model")
        if captured.gradient in ("sampled", "random") and captured.seed != self.seed:
            raise ValueError(
                f"gradients of kind {captured.gradient!r} were captured with seed {captured.seed}, and the calibration "
                f"has seed {self.seed}: capture with the same"
            )
