"""Inputs, outputs and output gradients of every operation, from one forward and one backward pass.

They are spilled to disk, or stay where they are if that is a GPU with plenty of room.

PTQ4ViT's first phase (Algorithm 1, lines 1 to 6).  The released code repeats the pass for every layer; here all
layers are written in one, and method and bit-width play no part, so one capture serves any number of calibrations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import torch
from safetensors.torch import save as serialized
from torch import nn

from ptqsim.common import files
from ptqsim.common.progress import Progress, silent
from ptqsim.common.validation import checked_seed
from ptqsim.errors import check_positive
from ptqsim.ptq.files.scratch_folder import ScratchFolder
from ptqsim.ptq.files.tensors import load_tensors
from ptqsim.ptq.network.admission.finite import check_operands
from ptqsim.ptq.network.admission.float_check import check_float, not_once
from ptqsim.ptq.network.admission.given import check_values, default_modes, ordinary
from ptqsim.ptq.network.admission.images import check_images
from ptqsim.ptq.network.admission.unsupported import refuse_stray_products
from ptqsim.ptq.network.description.identity import tensors_fingerprint, weights_fingerprint
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.network.tasks.gradients import Gradient, random_gradient
from ptqsim.ptq.network.tasks.task import task_of
from ptqsim.ptq.threads import one_thread

Tensors = Mapping[str, torch.Tensor]
"""By what they are to an operation."""

BATCH = 8
"""Images in one pass; peak memory grows with it, results do not depend on it beyond float32 rounding."""


# Of the memory of a GPU that is free, one batch may stay in one part of so many.
_ROOM = 8


@dataclass(frozen=True)
class OperationData:
    """Tensors of one operation, in canonical layout (see :mod:`ptqsim.ptq.network.products.operations`).

    Attributes
    ----------
    a : float tensor [Ga, ..., M, K]
    b : float tensor [Gb, ..., K, N]
    out : float tensor [G, ..., M, N]
        O = A B, before any bias.
    grad : float tensor [G, ..., M, N] or None
        dL/dO.
    images : int
        Number of images, which lie one after the other along axis 1 of a, out and grad.
    """

    a: torch.Tensor
    b: torch.Tensor
    out: torch.Tensor
    grad: torch.Tensor | None
    images: int = 1

    def with_operands(self, a: torch.Tensor, b: torch.Tensor) -> OperationData:
        """The same with operands of a pass of all images at once, to give the outputs of the float network."""
        rows = a.shape[1]
        # what follows from parameters alone, such as a table of positions, was captured once for every batch
        grad = None if self.grad is None else self.grad[:, :rows]
        return OperationData(a, b, self.out[:, :rows], grad, _images(self.images, rows))


class Captured(Mapping[str, OperationData]):
    """The captured data by operation name, on the CPU; a context manager that owns the folder it is spilled to.

    Attributes
    ----------
    content : str
        SHA-256 of the weights and images that it is of, see :func:`content_of`.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor | None], gradient: Gradient | None, seed: int) -> None:
        self._weights = weights
        self._folder = ScratchFolder("ptqsim-capture-")
        self._parts: dict[str, list[Path | Tensors]] = {name: [] for name in weights}
        self.gradient = gradient
        self.seed = seed
        self.images = 0
        self.content = ""

    def add(self, tensors: Mapping[str, Tensors], images: int) -> None:
        """Put away one batch: for each operation its ``a``, ``b`` (where it is no weight) and ``grad``."""
        stays = _has_room(tensors)
        for name, data in tensors.items():
            parts = self._parts[name]
            if stays:
                parts.append({key: value.detach().clone() for key, value in data.items()})
                continue
            path = self._folder.path / f"{name}.{len(parts)}.safetensors"
            spilled = {key: value.detach().cpu().contiguous() for key, value in data.items()}
            files.write_scratch(path, serialized(spilled))
            parts.append(path)
        self.images += images

    def __getitem__(self, name: str) -> OperationData:
        return self.on(torch.device("cpu"), name)

    def on(self, device: torch.device, name: str) -> OperationData:
        """Tensors of an operation on a device; its output is recomputed there."""
        parts = [load_tensors(part, str(device)) if isinstance(part, Path) else part for part in self._parts[name]]
        joined = {key: torch.cat([part[key].to(device) for part in parts], dim=1) for key in parts[0]}  # 0 is the group
        weight = self._weights[name]
        a, b = joined["a"], joined["b"] if weight is None else weight.to(device)
        return OperationData(a, b, torch.matmul(a, b), joined.get("grad"), _images(self.images, a.shape[1]))

    def __contains__(self, name: object) -> bool:
        return name in self._weights  # a Mapping would read the data to find out

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)

    def close(self) -> None:
        self._folder.cleanup()

    def __enter__(self) -> Captured:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _images(images: int, rows: int) -> int:
    """Number of images that rows are of; of parameters alone, whose rows may be any number, each row counts as one."""
    return images if rows % images == 0 else rows


def _has_room(tensors: Mapping[str, Tensors]) -> bool:
    """True if they are on a GPU whose free memory is several times their size."""
    every = [value for data in tensors.values() for value in data.values()]
    if not every or every[0].device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(every[0].device)
    return sum(value.numel() * value.element_size() for value in every) * _ROOM <= free


@default_modes()
def capture(
    model: nn.Module | QuantizedModel,
    images: torch.Tensor,
    *,
    gradient: Gradient | str | None = Gradient.PSEUDO_LABEL,
    seed: int = 0,
    batch: int = BATCH,
    progress: Progress = silent,
) -> Captured:
    """Run the float network forward and backward once and keep what every operation saw.

    Parameters
    ----------
    model : nn.Module or QuantizedModel
    images : float tensor [N, C, H, W]
        Calibration images.
    gradient : Gradient or {"pseudo_label", "sampled", "released", "random"} or None
        The task loss whose gradient is kept (docs/calibration.md); None keeps none and skips the backward pass.
    seed : int
        Seed of the gradients ``sampled`` and ``random``.
    batch : int
        Images in one pass.
    progress : callable
        Called with the images done and all images.

    Returns
    -------
    Captured
        Close it, or use it in a ``with`` statement, to remove its files.

    Raises
    ------
    TypeError, ValueError
        As for :func:`ptqsim.ptq.calibrate`.
    """
    if gradient is not None:
        gradient = Gradient.of(gradient)
    check_positive("the number of images at a time", batch)
    seed = checked_seed(seed)
    quantized = model if isinstance(model, QuantizedModel) else QuantizedModel(model)
    check_images(images, quantized.model)
    check_values(quantized.model)
    images = ordinary(images)
    if not isinstance(model, QuantizedModel):
        check_float(model, quantized.model, images)
    device = next(quantized.model.parameters()).device
    layers = quantized.layers
    captured = Captured(
        {name: None if op.constant_b is None else op.constant_b.cpu() for name, op in layers.items()}, gradient, seed
    )
    generator = torch.Generator().manual_seed(seed)
    captured.content = content_of(quantized, images)
    previous = quantized.mode
    quantized.mode = "float"
    try:
        for start in range(0, len(images), batch):
            part = images[start : start + batch].to(device)
            with one_thread(device):
                seen = _one_pass(quantized.model, layers, part, gradient, generator)
            captured.add(seen, len(part))
            progress(min(start + batch, len(images)), len(images))
    except BaseException:
        captured.close()
        raise
    finally:
        quantized.mode = previous
    return captured


def content_of(quantized: QuantizedModel, images: torch.Tensor) -> str:
    """SHA-256 of a network's weights and of images: what is captured of them is of no others."""
    return weights_fingerprint(quantized.model) + tensors_fingerprint([("images", images)])


def _one_pass(
    network: nn.Module,
    layers: Mapping[str, MatmulOperation],
    images: torch.Tensor,
    gradient: Gradient | None,
    generator: torch.Generator,
) -> dict[str, dict[str, torch.Tensor]]:
    tensors: dict[str, dict[str, torch.Tensor]] = {}

    def observe(op: MatmulOperation, a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> None:
        check_operands(op, a, b, out)
        if op.name in tensors:
            raise not_once(op.name, 2)
        data = tensors[op.name] = {"a": op.calibrated_rows(a.detach())}
        if op.constant_b is None:
            data["b"] = b.detach()
        if gradient == "random":
            data["grad"] = op.calibrated_rows(random_gradient(out, generator))
        elif gradient is not None:
            if not out.requires_grad:  # it follows from parameters alone: what DETR's queries first ask each other
                out.requires_grad_(True)
            # dL/dO, Algorithm 1 line 5
            out.register_hook(lambda grad: data.__setitem__("grad", op.calibrated_rows(grad)))

    backward = gradient not in (None, "random")
    for op in layers.values():
        op.observer = observe
    try:
        with torch.set_grad_enabled(backward), refuse_stray_products(network):
            # the images carry the gradient, so that none is spent on the weights'
            outputs = network(images.detach().requires_grad_(backward))
        if unseen := [name for name in layers if name not in tensors]:
            raise not_once(unseen[0], 0)
        if backward:
            assert gradient is not None
            task_of(network).loss(outputs, gradient, generator).backward()
    finally:
        for op in layers.values():
            op.observer = None
    return tensors
