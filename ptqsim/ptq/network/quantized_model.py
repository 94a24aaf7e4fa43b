"""A calibrated model: one network, three ways to run it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_args

import torch
from torch import nn

import ptqsim as pq
from ptqsim.errors import unknown_name
from ptqsim.ptq.network.detr.detector import Detector
from ptqsim.ptq.network.operations import MatmulOperation, Mode, sums_as_given
from ptqsim.ptq.network.wrap import wrap
from ptqsim.ptq.networks import check_network, default_modes, no_autocast
from ptqsim.ptq.zoo.models import input_size


class QuantizedModel:
    """A vision transformer whose matrix products carry formats.

    Parameters
    ----------
    model : nn.Module
        The float network; it is copied.

    Attributes
    ----------
    layers : dict of str to MatmulOperation
        The quantized operations, by name, in the order of execution: ``.formats``, ``.bounds``, ``.report``.
    mode : {"float", "fake_quant", "integer"}
        What ``q(images)`` runs.  In integer mode every quantized operation is ``ptqsim.matmul`` on codes; softmax,
        LayerNorm, GELU and residuals are float32 (PTQ4ViT section 4.1).  In float mode it is the original network, to
        the last bit.
    accumulator : ptqsim.Accumulator
        What integer mode sums in; assigning it sets every layer.
    accumulators : mapping of str to ptqsim.Accumulator
        The same by layer: ``q.accumulators["blocks.0.mlp.fc2"] = ptqsim.Accumulator(bits=20)``.
    statistics : bool
        Count overflow events in integer mode into ``q.layers[name].integer.overflow``.
    info : dict
        How the model was calibrated: method, widths, options, seed; plain data.
    """

    def __init__(self, model: nn.Module, info: Mapping[str, Any] | None = None) -> None:
        check_network(model)
        with default_modes():
            self.model, self.layers = wrap(model)
            self.model.requires_grad_(False)
        self.info: dict[str, Any] = dict(info or {})
        self.accumulators: MutableMapping[str, pq.Accumulator] = _Accumulators(self.layers)
        self._accumulator = pq.Accumulator(bits=32)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes] of images [N, C, H, W]."""
        check_images(images, self.model)
        floats = all(layer.mode == "float" and layer.observer is None for layer in self.layers.values())
        with torch.no_grad(), no_autocast(), sums_as_given() if floats else nullcontext():
            return self.model(images)  # type: ignore[no-any-return]

    @property
    def mode(self) -> Mode:
        return next(iter(self.layers.values())).mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        if mode not in get_args(Mode):
            raise unknown_name("mode", mode, get_args(Mode))
        for layer in self.layers.values():
            layer.mode = mode

    @property
    def accumulator(self) -> pq.Accumulator:
        return self._accumulator

    @accumulator.setter
    def accumulator(self, accumulator: pq.Accumulator) -> None:
        for name in self.layers:
            self.accumulators[name] = accumulator
        self._accumulator = accumulator

    @property
    def statistics(self) -> bool:
        return any(layer.integer.statistics for layer in self.layers.values())

    @statistics.setter
    def statistics(self, on: bool) -> None:
        for layer in self.layers.values():
            layer.integer.statistics = on

    def layer(self, name: str) -> MatmulOperation:
        """The layer of that name; an unknown name is a ValueError that suggests the nearest."""
        if name not in self.layers:
            raise unknown_name("layer", name, self.layers)
        return self.layers[name]

    def to(self, device: torch.device | str) -> QuantizedModel:
        """Move the network; integer mode always computes on the CPU."""
        self.model.to(device)
        return self

    def save(self, path: str | Path) -> None:
        """Write packed codes, formats and the float parameters as safetensors; see :func:`ptqsim.ptq.load`."""
        from ptqsim.ptq.checkpoint import save

        save(self, Path(path))


class _Accumulators(MutableMapping[str, pq.Accumulator]):
    """The layers' accumulators, by layer name."""

    def __init__(self, layers: Mapping[str, MatmulOperation]) -> None:
        self._layers = layers

    def _layer(self, name: str) -> MatmulOperation:
        if name not in self._layers:
            raise unknown_name("layer", name, self._layers)
        return self._layers[name]

    def __getitem__(self, name: str) -> pq.Accumulator:
        return self._layer(name).integer.accumulator

    def __setitem__(self, name: str, accumulator: pq.Accumulator) -> None:
        if not isinstance(accumulator, pq.Accumulator):
            raise TypeError(
                f"an accumulator was given as {accumulator!r}; legal is a ptqsim.Accumulator: try "
                "ptqsim.Accumulator(bits=24, overflow='wrap')"
            )
        self._layer(name).integer.accumulator = accumulator

    def __delitem__(self, name: str) -> None:
        raise TypeError("every layer has an accumulator; assign another one instead of deleting it")

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)


def check_images(images: object, network: nn.Module) -> None:
    """Refuse what is no finite batch [N, C, H, W] of the network's type and channels; a ValueError says what is."""
    legal = "legal is a float tensor [N, C, H, W] with N of at least 1"
    if not isinstance(images, torch.Tensor):
        raise ValueError(f"images are a {type(images).__name__}; {legal}: try torch.from_numpy")
    if images.ndim != 4 or not images.is_floating_point() or len(images) == 0:
        raise ValueError(f"images are a {tuple(images.shape)} tensor of {images.dtype}; {legal}")
    bad = ~torch.isfinite(images).flatten(1).all(dim=1)
    if bad.any():
        first = int(bad.nonzero()[0])
        raise ValueError(
            f"{int(bad.sum())} of {len(images)} images hold NaN or infinite values, the first is image {first}: "
            "check the preprocessing"
        )
    parameter = next(network.parameters())
    if images.dtype != parameter.dtype:
        raise ValueError(
            f"images are {images.dtype}, and the model's parameters {parameter.dtype}; legal is the type of the model: "
            f"try images.to({parameter.dtype})"
        )
    channels = input_size(network)[0]
    if images.shape[1] != channels and not isinstance(network, Detector):  # which takes a mask as the fourth
        raise ValueError(
            f"images have {images.shape[1]} channels, and the model takes {channels}; legal is a float tensor "
            f"[N, {channels}, H, W]"
        )
