"""Units of one kind in integers, in a network that is otherwise float32 between its products.

A plan has all of its units in integers.  Here a network in integer mode keeps its float functions, but for those of
some kinds: these take integers from what comes in (exact, where it comes from an accumulator or lies on the residual's
grid), run the units of the plan, and hand on what their codes stand for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from ptqsim import ptq, units
from ptqsim.errors import unknown_name
from ptqsim.integer_only import Apply, Combine, Edge
from ptqsim.integer_only.execution import integers_of
from ptqsim.ptq.integer_only.blocks import scales_of
from ptqsim.ptq.integer_only.builder import accumulator_scale, bias_of, nearest, numbers
from ptqsim.ptq.integer_only.pixels import pixel_projection

KINDS: Final = ("pixels", "residual", "layer_norm", "softmax", "gelu")
"""Kinds of units that can be in integers by themselves; requantizers and poolings are in none of them."""


@contextmanager
def in_integers(quantized: ptq.QuantizedModel, kinds: Iterable[str], images: torch.Tensor) -> Iterator[None]:
    """Run units of the plan in place of float functions, in a network in integer mode, while the context lasts.

    Parameters
    ----------
    quantized : QuantizedModel
        With a plan.
    kinds : iterable of str
        Of `KINDS`.
    images : float tensor [N, C, H, W]
        Calibration images, which the patch projection of pixels is made with.

    Raises
    ------
    ValueError
        For an unknown kind.
    """
    hooks = _Hooks(quantized, images)
    try:
        for kind in kinds:
            if kind not in KINDS:
                raise unknown_name("kind of unit", kind, KINDS)
            getattr(hooks, kind)()
        yield
    finally:
        for handle in hooks.handles:
            handle.remove()


class _Hooks:
    """Hooks of the modules of a network; batches run side by side, and each thread has values of its own."""

    def __init__(self, quantized: ptq.QuantizedModel, images: torch.Tensor) -> None:
        self.plan = quantized.required_plan()
        self.steps = {step.name: step for step in self.plan.steps}
        self.modules: dict[str, Any] = dict(quantized.model.named_modules())
        self.images = images
        self.handles: list[Any] = []
        self._held = threading.local()

    def after(self, name: str, function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor | None]) -> None:
        """Call a function with the first input and the output of a module; what it returns is the output instead."""
        hook = lambda module, args, output: function(args[0], output)  # noqa: E731
        self.handles.append(self.modules[name].register_forward_hook(hook))

    def before(self, name: str, function: Callable[[torch.Tensor], torch.Tensor | None]) -> None:
        """Call a function with the first input of a module; what it returns is the input instead."""

        def hook(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
            made = function(args[0])
            return None if made is None else (made, *args[1:])

        self.handles.append(self.modules[name].register_forward_pre_hook(hook))

    def keep(self, name: str, value: torch.Tensor) -> None:
        """Keep a value of this batch under a name, for another hook."""
        setattr(self._held, name, value)

    def kept(self, name: str) -> torch.Tensor:
        """The value of this batch under that name, which is forgotten."""
        value: torch.Tensor = getattr(self._held, name)
        delattr(self._held, name)
        return value

    def units_of(self, kind: type[units.Unit]) -> dict[str, Apply]:
        """Steps with a unit of that kind."""
        return {
            name: step
            for name, step in self.steps.items()
            if isinstance(step, Apply) and isinstance(step.units[0], kind)
        }

    def edge(self, name: str) -> Edge:
        """An edge of the plan."""
        return self.plan.edges[name]

    def accumulators(self, name: str, x: torch.Tensor, gain: NDArray[np.float64] | float = 1.0) -> NDArray[np.int64]:
        """The integers that outputs of a layer, times a gain, were made from."""
        op = self.modules[name]
        scale = accumulator_scale(op)
        safe = np.where(gain == 0, 1.0, gain)
        return nearest((numbers(x) / safe - bias_of(op, len(scale))) / scale)

    def pixels(self) -> None:
        """The patch projection takes pixels of 8 bits."""
        (name,) = (name for name in self.modules if name.endswith("patch_embed.proj"))
        op = self.modules[name]
        made = pixel_projection(op, self.plan.mean, self.plan.std, self.images)
        weights = torch.from_numpy(made.weights.aligned().T.astype(np.float64)).reshape(op.weight.shape)
        offset, scale = (torch.from_numpy(one)[:, None, None] for one in (made.offset, made.scale))
        bias = torch.from_numpy(bias_of(op, len(made.scale)))[:, None, None]

        def project(x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
            levels = ptq.as_pixels(x, self.plan.mean, self.plan.std).double()
            exact = F.conv2d(levels, weights, stride=op.patch)  # of integers below 2**53
            return ((exact + offset) * scale + bias).to(output.dtype)

        self.after(name, project)

    def residual(self) -> None:
        """The residual stream has the grids of the plan: where it begins, and after every addition."""
        if "embedding" in self.steps:
            self.before("norm_pre", lambda x: self._stored("embedding", x))
        for name in self.modules:
            if name in self.steps and (name == "patch_embed" or name.endswith(".downsample")):
                self.after(name, lambda x, output, name=name: self._stored(name, output))  # type: ignore[misc]
        for name in self.units_of(units.ResidualAdd):
            self._addition(name)

    def _addition(self, name: str) -> None:
        block, place = name.rsplit(".add", 1)
        layer = f"{block}.{'attn.proj' if place == '1' else 'mlp.fc2'}"
        scaling: Any = self.modules.get(f"{block}.ls{place}")
        gain = numbers(scaling.gamma) if hasattr(scaling, "gamma") else 1.0
        step = self.steps[name]
        self.before(f"{block}.norm{place}", lambda x: self.keep(name, x))

        def add(_: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
            x = self.kept(name)
            stream = self._integers(step.sources[0], x)
            made = self._run(step, stream, self.accumulators(layer, branch, gain).reshape(stream.shape))
            return self._real(name, made, x) - x

        self.after(f"{block}.drop_path{place}", add)

    def layer_norm(self) -> None:
        """LayerNorms take codes of the residual."""
        for name, step in self.units_of(units.LayerNorm).items():
            module = name if isinstance(self.modules.get(name), nn.LayerNorm) else f"{name}.norm"
            if isinstance(self.modules.get(module), nn.LayerNorm):
                self.after(module, lambda x, _, step=step: self._normalized(step, x))  # type: ignore[misc]
        if "head_dist.norm" in self.steps:  # one module for both tokens, whose heads take different formats
            self.after("norm", self._both_tokens)

    def _normalized(self, step: Any, x: torch.Tensor) -> torch.Tensor:
        return self._real(step.name, self._run(step, self._integers(step.sources[0], x)), x)

    def _both_tokens(self, x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        made = output.clone()
        for place, name in enumerate(("head.norm", "head_dist.norm")):
            made[:, place] = self._normalized(self.steps[name], x[:, place])
        return made

    def gelu(self) -> None:
        """Activation functions take accumulators, and give the codes of the next layer's input."""
        for name, step in self.steps.items():
            if name.endswith(".act") and isinstance(step, Apply):

                def act(x: torch.Tensor, _: torch.Tensor, step: Any = step) -> torch.Tensor:
                    return self._real(step.name, self._run(step, self.accumulators(step.sources[0], x)), x)

                self.after(name, act)

    def softmax(self) -> None:
        """Softmax takes accumulators of scores, and gives the codes of the probabilities."""
        for step in self.steps:
            if step.endswith(".softmax"):
                self._attention(step.removesuffix(".softmax"))

    def _attention(self, name: str) -> None:
        module, final = self.modules[name], f"{name}.softmax"
        unit = np.array(scales_of(module.matmul_qk, module.heads)).reshape(-1, 1, 1)
        shape = self.edge(module.matmul_qk.name).shape  # [H, M, N], or [H, windows, M, N]
        tail = [step for step in self.plan.steps if step.name in (f"{name}.scores", f"{name}.score_codes", final)]
        self.after(f"{name}.matmul_qk", lambda _, output: self.keep(name, output))

        def probabilities(given: torch.Tensor) -> torch.Tensor:
            integers = nearest(numbers(self.kept(name)) / unit)
            if len(shape) == 4:  # windows are images to the network
                integers = integers.reshape(-1, shape[1], *integers.shape[1:]).swapaxes(1, 2)
            for step in tail:
                if isinstance(step, Combine):
                    integers = integers + step.constant
                    continue
                codes = self._run(step, integers)
                integers = integers_of(codes, self.edge(step.name))
            return self._real(final, codes.swapaxes(1, 2) if len(shape) == 4 else codes, given)

        self.before(f"{name}.matmul_pv", probabilities)

    def _run(self, step: Any, *integers: NDArray[np.int64]) -> NDArray[Any]:
        """Codes by the one unit of a step, or by one for each head, axis 1."""
        if len(step.units) == 1:
            return np.asarray(step.units[0](*integers))
        return np.stack([unit(*(x[:, g] for x in integers)) for g, unit in enumerate(step.units)], 1)

    def _integers(self, name: str, x: torch.Tensor) -> NDArray[np.int64]:
        """Integers of an edge that are nearest to real values."""
        edge = self.edge(name)
        return integers_of(edge.format.encode(numbers(x)), edge)

    def _real(self, name: str, codes: NDArray[Any], like: torch.Tensor) -> torch.Tensor:
        """Real values of codes of an edge, with the shape and the type of another tensor."""
        formats = self.edge(name).formats
        if len(formats) == 1:
            made = formats[0].decode(codes)
        else:
            made = np.stack([fmt.decode(codes[..., g, :, :]) for g, fmt in enumerate(formats)], -3)
        return torch.from_numpy(made).reshape(like.shape).to(like.dtype)

    def _stored(self, name: str, x: torch.Tensor) -> torch.Tensor:
        """Real values as an edge stores them."""
        return self._real(name, self.edge(name).format.encode(numbers(x)), x)
