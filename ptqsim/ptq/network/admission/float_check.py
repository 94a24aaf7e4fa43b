"""The float mode of a wrapped network against the network as it was given, on a real input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import nn

from ptqsim.ptq.network.admission.finite import check_operands
from ptqsim.ptq.network.admission.unsupported import refuse_stray_products
from ptqsim.ptq.network.input_size import input_size
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.network.tasks.task import check_outputs
from ptqsim.ptq.threads import one_thread

IMAGES: Final = 2
"""Images that are run; a layer that computes something else does so on any."""

_ROUNDING: Final = 1000.0
"""Multiples of the machine epsilon by which two orders of summation may differ, relative to the norm of the output."""

_ELSEWHERE: Final = 1e-2  # a GPU may round the factors of its products to fewer bits (TF32)


def check_float(model: nn.Module, wrapped: nn.Module, images: torch.Tensor) -> None:
    """Refuse a network that its wrapped copy does not compute.

    The network runs on the first images.  What every replaced layer gets there, its replacement gets too; their
    outputs may differ by what another order of float32 sums explains.  So may the outputs of both networks.

    Parameters
    ----------
    model : nn.Module
        The network as it was given; it is left as it is.
    wrapped : nn.Module
        The result of :func:`ptqsim.ptq.network.wrapping.wrap.wrap`, in float mode.
    images : float tensor [N, C, H, W]

    Raises
    ------
    ValueError
        It names the first layer that differs, runs twice or not at all, and says where the network can't be run, or
        its outputs are NaN or infinite, or no logits.
    """
    device = next(model.parameters()).device
    part = images[:IMAGES].to(device)
    replaced = _replaced(model, wrapped)
    with torch.no_grad(), one_thread(device), _evaluating(model):
        with _compared(model, replaced):
            expected = _run(model, part)
        check_outputs(model, expected, len(part))
        if not torch.isfinite(expected).all():
            raise ValueError("the float network gives NaN or infinite outputs for the first images: check its weights")
        with refuse_stray_products(wrapped), _counted(wrapped) as runs:
            got = wrapped(part)
        for name, times in runs.items():
            if times != 1:
                raise not_once(name, times)
        if not _agree(got, expected):
            name = _first_difference(model, wrapped, part)
            raise ValueError(
                f"module {name!r} computes something else once the model is copied: see that it holds no reference to "
                "another module of the model, and nothing random"
            )


def _replaced(model: nn.Module, wrapped: nn.Module) -> dict[str, nn.Module]:
    """Replacements by name, in the order of registration."""
    originals = dict(model.named_modules())
    return {
        name: module
        for name, module in wrapped.named_modules()
        if name in originals and type(module) is not type(originals[name])
    }


def _run(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    try:
        return model(images)  # type: ignore[no-any-return]
    except (RuntimeError, AssertionError, TypeError, IndexError) as error:  # of torch, of timm
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"the network can't be run on images {tuple(images.shape)} ({reason}): give images [N, C, H, W] as it "
            f"takes them, which should be [N, {', '.join(map(str, input_size(model)))}]"
        ) from error


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """The network in evaluation mode; afterwards every module is as it was."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def _counted(wrapped: nn.Module) -> Iterator[dict[str, int]]:
    """Count the runs of every operation."""
    runs = {name: 0 for name, module in wrapped.named_modules() if isinstance(module, MatmulOperation)}

    def count(name: str) -> Any:
        def hook(*_: Any) -> None:
            runs[name] += 1

        return hook

    handles = [wrapped.get_submodule(name).register_forward_hook(count(name)) for name in runs]
    try:
        yield runs
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _compared(model: nn.Module, replaced: Mapping[str, nn.Module]) -> Iterator[None]:
    """Have every layer that was replaced compared with its replacement when it runs, which may be once."""
    calls: Counter[str] = Counter()

    def compare(name: str) -> Any:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            calls[name] += 1
            if calls[name] > 1:
                raise not_once(name, calls[name])
            expected, got = _tensor(output), _tensor(replaced[name](*args, **kwargs))
            if not torch.isfinite(expected).all():
                _check_products(replaced[name], args, kwargs)
                raise ValueError(
                    f"layer {name!r} of the float network gives NaN or infinite outputs for the first images: check "
                    "the weights and the preprocessing"
                )
            if not _agree(got, expected):
                raise ValueError(
                    f"layer {name!r} ({type(module).__name__}) does not compute what its class says: it is "
                    f"{100 * _difference(got, expected):.2g} % off on the first images; remove what changes it (a "
                    "hook, a patched forward), or merge it into the weight"
                )

        return hook

    handles = [model.get_submodule(name).register_forward_hook(compare(name), with_kwargs=True) for name in replaced]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _check_products(replacement: nn.Module, args: Any, kwargs: Any) -> None:
    """Refuse a product whose operand or output is not finite; the error names it, and says how far the others reach."""
    products = [module for module in replacement.modules() if isinstance(module, MatmulOperation)]
    for product in products:
        product.observer = check_operands
    try:
        replacement(*args, **kwargs)
    finally:
        for product in products:
            product.observer = None


def not_once(name: str, calls: int) -> ValueError:
    """The error for a layer that does not run exactly once in a forward pass."""
    if calls == 0:
        return ValueError(
            f"layer {name!r} takes no part in the forward pass, so that there is nothing to calibrate it on: remove "
            "it, or put an nn.Identity() in its place"
        )
    return ValueError(
        f"layer {name!r} runs more than once in the forward pass, and one format can't serve inputs of different "
        "sizes: give each use a layer of its own (copy.deepcopy)"
    )


def _tensor(output: Any) -> torch.Tensor:
    """The output of a layer; of several, as attention of transformers gives them, the first."""
    first: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return first


def _difference(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Relative to the norm of what was expected."""
    return float((got.double() - expected.double()).norm() / expected.double().norm().clamp(min=1e-300))


def _agree(got: torch.Tensor, expected: torch.Tensor) -> bool:
    if got.shape != expected.shape:
        return False
    rounding = _ROUNDING * torch.finfo(expected.dtype).eps
    return bool(torch.equal(got, expected)) or _difference(got, expected) <= (
        rounding if expected.device.type == "cpu" else max(rounding, _ELSEWHERE)
    )


def _first_difference(model: nn.Module, wrapped: nn.Module, images: torch.Tensor) -> str:
    """The first module of both, in the order of execution, whose outputs have different norms; empty for the whole."""
    of_model, of_wrapped = (_norms(network, images) for network in (model, wrapped))
    for name, norm in of_model.items():
        other = of_wrapped.get(name)
        if other is not None and abs(norm - other) > _ROUNDING * torch.finfo(torch.float32).eps * abs(norm):
            return name
    return ""


def _norms(network: nn.Module, images: torch.Tensor) -> dict[str, float]:
    norms: dict[str, float] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(found := _tensor(output), torch.Tensor):
                norms.setdefault(name, float(found.double().norm()))

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in network.named_modules() if name]
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    return norms
