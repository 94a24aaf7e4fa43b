"""A calibrated model: a module that runs one network in float, in fake quantization or in integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, Self

import torch
from torch import nn

import ptqsim as pq
from ptqsim.common.validation import checked_path
from ptqsim.datapath.blocks.registers import BlockRegister
from ptqsim.errors import ArgumentTypeError, unknown_name
from ptqsim.integer_only import Edge, Plan
from ptqsim.ptq.network.admission.given import check_network, default_modes, no_autocast, stored_tensors
from ptqsim.ptq.network.admission.images import check_images
from ptqsim.ptq.network.description.architecture import architecture
from ptqsim.ptq.network.foldings.protocol import AnyFolding
from ptqsim.ptq.network.pixels import as_pixels, run_plan
from ptqsim.ptq.network.products.accumulators import Accumulators
from ptqsim.ptq.network.products.as_given import sums_as_given
from ptqsim.ptq.network.products.datapaths import choose_datapath
from ptqsim.ptq.network.products.operations import MatmulOperation, Mode
from ptqsim.ptq.network.saving import save
from ptqsim.ptq.network.wrapping.wrap import wrap


class QuantizedModel(nn.Module):
    """A vision transformer whose matrix products carry formats.

    Parameters
    ----------
    model : nn.Module
        The float network; it is copied.

    Attributes
    ----------
    layers : dict of str to MatmulOperation
        The quantized operations, by name, in the order of execution: ``.formats``, ``.bounds``, ``.report``.
    mode : Mode or {"float", "fake_quant", "integer", "integer_only"}
        Mode in which ``q(images)`` runs.  In integer mode every quantized operation is ``ptqsim.matmul`` on codes;
        softmax, LayerNorm, GELU and residuals are float32 (PTQ4ViT section 4.1).  In float mode it is the original
        network, to the last bit; where something was folded, but for rounding.  In integer-only mode, for which
        calibration has made a `plan`, nothing is float from pixels to logits: images are uint8 [N, C, H, W], and
        logits int64 in units of ``logit_scale`` (docs/integer_only.md).
    plan : ptqsim.integer_only.Plan or None
        Steps of integer-only mode.
    edges : dict of str to ptqsim.integer_only.Edge
        Everything between two steps of integer-only mode: shape, format, width.
    accumulator : ptqsim.Accumulator or dict of str to ptqsim.Accumulator
        Accumulator of integer mode: one, or where layers differ, one per layer name.  Assigning an accumulator sets
        every layer, assigning a mapping sets the layers that it names.
    accumulators : mapping of str to ptqsim.Accumulator
        The same by layer: ``q.accumulators["blocks.0.mlp.fc2"] = ptqsim.Accumulator(bits=20)``.
    datapaths : dict of str to ptqsim.ZeroPoint
        Where zero points are subtracted, by layer, as calibration chose it; layers without zero points are left out.
        The first accumulator of a layer, of 32 bits, does it there.
    register : ptqsim.FixedPoint, Float32 or AlignedFloat32, or dict of str to one of these
        Register of integer mode in which products of blocks are summed, `ptqsim.Float32()` by default; as
        ``accumulator`` for all others (docs/blocks.md).
    statistics : bool
        Count overflow events in integer mode into ``q.layers[name].integer.overflow``.
    architecture : dict
        Classes and settings of the modules of the network, by name; plain data.
    foldings : tuple of Folding, HeadFolding, StreamRotation and HeadRotation
        Factors and rotations that were moved between the parameters of the float network before it was calibrated.
    tuned : dict of str to tensor
        Parameters of LayerNorms that were learned in reconstruction, by name; float mode has the network's own.
    info : dict
        Record of the calibration as plain data: method, widths, options, seed.

    Notes
    -----
    The model is a :class:`torch.nn.Module` that differs from others in four points.  It stays in evaluation mode:
    ``train()`` has no effect, as formats hold for the network as it was calibrated.  Its parameters have no gradient.
    Its floating-point type is fixed: ``half()`` and ``to(torch.float16)`` are refused, ``to(device)`` moves the network
    while integer mode always computes on the CPU.  ``state_dict()`` holds the float parameters only, so
    ``load_state_dict()`` is refused: :meth:`save` and :func:`ptqsim.ptq.load` store codes and formats too.
    """

    def __init__(self, model: nn.Module, info: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        check_network(model)
        with default_modes():
            self.model, self.layers = wrap(model)
            self.architecture = architecture(model)
            self.model.requires_grad_(False)
        self.info: dict[str, Any] = dict(info or {})
        self.foldings: tuple[AnyFolding, ...] = ()
        self.tuned: dict[str, torch.Tensor] = {}
        self._own: dict[str, torch.Tensor] = {}  # what the float network has in their place
        self.plan: Plan | None = None
        self.accumulators: MutableMapping[str, pq.Accumulator] = Accumulators(self.layers)
        super().train(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes] of images [N, C, H, W]."""
        if self.mode == "integer_only":
            return run_plan(self.required_plan(), images, {name: op.integer for name, op in self.layers.items()})
        check_images(images, self.model)
        floats = all(layer.mode == "float" and layer.observer is None for layer in self.layers.values())
        with torch.no_grad(), no_autocast(), sums_as_given() if floats else nullcontext():
            return self.model(images)  # type: ignore[no-any-return]

    @property
    def mode(self) -> Mode:
        return next(iter(self.layers.values())).mode

    @mode.setter
    def mode(self, mode: Mode | str) -> None:
        mode = Mode.of(mode)
        if mode == "integer_only":
            self.required_plan()
        for layer in self.layers.values():
            layer.mode = mode
        self._set(self._own if mode == "float" else self.tuned)

    def tune(self, values: Mapping[str, torch.Tensor]) -> None:
        """Give the network other parameters in all modes but float.

        Parameters
        ----------
        values : mapping of str to tensor
            Parameters of its LayerNorms by name; they are copied.
        """
        for name, value in values.items():
            if name not in self._own:
                self._own[name] = self.model.get_parameter(name).detach().clone()
            self.tuned[name] = value.detach().clone()
        self._set(self._own if self.mode == "float" else self.tuned)

    def float_parameters(self) -> dict[str, torch.Tensor]:
        """Parameters and buffers of the float network by name, whatever the mode."""
        return stored_tensors(self.model) | self._own

    def _set(self, values: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, value in values.items():
                self.model.get_parameter(name).copy_(value)

    @property
    def edges(self) -> dict[str, Edge]:
        return self.required_plan().edges

    @property
    def logit_scale(self) -> float:
        """Real value of one unit of a logit of integer-only mode."""
        return self.required_plan().logit_scale

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Real logits [N, classes] of normalized images [N, C, H, W] in any mode.

        In integer-only mode these are turned back into the pixels that they were made from, and the integers that come
        out are multiplied by their scale; images that are no normalized 8-bit pixels are a ValueError.
        """
        if self.mode != "integer_only":
            return self(images)  # type: ignore[no-any-return]
        plan = self.required_plan()
        return self(as_pixels(images, plan.mean, plan.std)).double() * plan.logit_scale  # type: ignore[no-any-return]

    def required_plan(self) -> Plan:
        """The plan; a ValueError where calibration made none."""
        if self.plan is None:
            raise ValueError(
                "the model has no integer-only network: calibrate it with ptqsim.ptq.calibrate(..., integer_only=True) "
                "or ptqsim calibrate --integer-only"
            )
        return self.plan

    @property
    def accumulator(self) -> pq.Accumulator | dict[str, pq.Accumulator]:
        by_layer = dict(self.accumulators)
        first = next(iter(by_layer.values()))
        return first if all(other == first for other in by_layer.values()) else by_layer

    @accumulator.setter
    def accumulator(self, accumulator: pq.Accumulator | Mapping[str, pq.Accumulator]) -> None:
        self.accumulators.update(
            accumulator if isinstance(accumulator, Mapping) else dict.fromkeys(self.layers, accumulator)
        )

    @property
    def datapaths(self) -> dict[str, pq.ZeroPoint]:
        return {name: pq.ZeroPoint.of(one["zero_point"]) for name, one in self.info.get("datapaths", {}).items()}

    def as_calibrated(self, accumulator: pq.Accumulator) -> dict[str, pq.Accumulator]:
        """Accumulators by layer: the one given, but zero points are subtracted where calibration chose it.

        Parameters
        ----------
        accumulator : ptqsim.Accumulator
            For every layer; its own place is taken where calibration chose none.

        Returns
        -------
        dict of str to ptqsim.Accumulator
            By layer name, as :attr:`accumulator` takes it: ``q.accumulator = q.as_calibrated(ptqsim.Accumulator(24))``.
        """
        places = self.datapaths
        return {name: replace(accumulator, zero_point=places.get(name, accumulator.zero_point)) for name in self.layers}

    @property
    def register(self) -> BlockRegister | dict[str, BlockRegister]:
        by_layer = {name: layer.integer.register for name, layer in self.layers.items()}
        first = next(iter(by_layer.values()))
        return first if all(other == first for other in by_layer.values()) else by_layer

    @register.setter
    def register(self, register: BlockRegister | Mapping[str, BlockRegister]) -> None:
        given = register if isinstance(register, Mapping) else dict.fromkeys(self.layers, register)
        for name, one in given.items():
            if not isinstance(one, BlockRegister):
                raise ArgumentTypeError(
                    f"a register of blocks was given as {one!r}; legal is a ptqsim.FixedPoint, Float32 or "
                    "AlignedFloat32: try ptqsim.FixedPoint(bits=32, weight=-16)"
                )
            self.layer(name).integer.register = one

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

    def train(self, mode: bool = True) -> Self:
        """Nothing: the network stays in evaluation mode."""
        return self

    def load_state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse to load: float parameters alone would no longer belong to the codes."""
        raise TypeError(
            "a state_dict holds no codes and formats, so no quantized model can be restored from it; legal is a file "
            "of its own: write it with save(path), read it with ptqsim.ptq.load(path, model)"
        )

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """Move parameters; a change of their type is a ValueError.  Every way to move or cast a module comes here."""
        for name, parameter in self.named_parameters():
            kind = fn(parameter.detach()[:0]).dtype if parameter.ndim else parameter.dtype
            if kind != parameter.dtype:
                raise ValueError(
                    f"parameter {name!r} was to become {kind}; legal is {parameter.dtype}, for which the formats were "
                    "calibrated: cast the float network before ptqsim.ptq.calibrate"
                )
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def save(self, path: str | Path) -> None:
        """Write packed codes, formats and the float parameters as safetensors; see :func:`ptqsim.ptq.load`."""
        save(self, checked_path("the checkpoint", path))


def choose_datapaths(quantized: QuantizedModel) -> None:
    """Note where zero points are to be subtracted in each layer that has any (docs/calibration.md)."""
    accumulator = _fitted_to(quantized)
    place = None if accumulator is None else accumulator.zero_point
    chosen = {name: choose_datapath(op, place) for name, op in quantized.layers.items()}
    if found := {name: one for name, one in chosen.items() if one is not None}:
        quantized.info["datapaths"] = found


def run_as_calibrated(quantized: QuantizedModel) -> None:
    """Give layers the datapath that calibration chose, and if weights were fitted, the accumulator that they fit."""
    quantized.accumulator = quantized.as_calibrated(pq.Accumulator(32))
    if (accumulator := _fitted_to(quantized)) is not None:
        layers = quantized.layers.items()
        quantized.accumulator = {name: accumulator for name, op in layers if op.constant_b is not None}


def _fitted_to(quantized: QuantizedModel) -> pq.Accumulator | None:
    fit = quantized.info.get("fit")
    return None if fit is None else pq.Accumulator.from_dict(fit["accumulator"])
