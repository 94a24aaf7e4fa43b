"""Blocks of a network that give again what they gave before: the shared prefix of many runs on the same images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from ptqsim.ptq.network.products.operations import MatmulOperation


class RecordedBlocks:
    """Runs of a network that differ from some operation on only, and compute nothing before it but what is cheap.

    A block is a module in a list of modules that holds two or more products; nothing smaller in it is a block.

    Parameters
    ----------
    network : nn.Module
        Whose operations are products of a quantized model, in float mode.
    sample : float tensor [N, C, H, W]
        Images to see the order in which blocks and operations run; one is enough.
    """

    def __init__(self, network: nn.Module, sample: torch.Tensor) -> None:
        self._network = network
        self._blocks = _blocks(network)
        self._before = self._order(sample)
        self._outputs: dict[str, Any] = {}

    def record(self, images: torch.Tensor) -> torch.Tensor:
        """Run all of the network, and keep what every block gives.

        Returns
        -------
        float tensor [N, ...]
            Outputs of the network.
        """
        self._outputs.clear()
        names = {id(block): name for name, block in self._blocks.items()}

        def keep(block: nn.Module, given: Any, output: Any) -> None:
            self._outputs[names[id(block)]] = output

        with ExitStack() as stack, torch.no_grad():
            for block in self._blocks.values():
                stack.callback(block.register_forward_hook(keep).remove)
            outputs: torch.Tensor = self._network(images)
        return outputs

    def run(self, images: torch.Tensor, layer: str) -> torch.Tensor:
        """Run the network on the images of the last :meth:`record`, from the block of an operation on.

        Parameters
        ----------
        images : float tensor [N, C, H, W]
        layer : str
            The first operation that gives something else than when the outputs were recorded.
        """
        with ExitStack() as stack, torch.no_grad():
            for name in self._before[layer]:
                stack.enter_context(_answering(self._blocks[name], self._outputs[name]))
            outputs: torch.Tensor = self._network(images)
        return outputs

    def _order(self, sample: torch.Tensor) -> dict[str, tuple[str, ...]]:
        """For each operation the blocks that have ended before it begins for the first time."""
        ended: list[str] = []
        before: dict[str, tuple[str, ...]] = {}
        names = {id(block): name for name, block in self._blocks.items()}

        def end(block: nn.Module, given: Any, output: Any) -> None:
            ended.append(names[id(block)])

        def begin(op: nn.Module, given: Any) -> None:
            before.setdefault(str(op.name), tuple(ended))

        with ExitStack() as stack, torch.no_grad():
            for block in self._blocks.values():
                stack.callback(block.register_forward_hook(end).remove)
            for module in self._network.modules():
                if isinstance(module, MatmulOperation):
                    stack.callback(module.register_forward_pre_hook(begin).remove)
            self._network(sample)
        # a block that is run several times can't answer with one output
        return {layer: tuple(name for name in names if ended.count(name) == 1) for layer, names in before.items()}


@contextmanager
def _answering(block: nn.Module, output: Any) -> Iterator[None]:
    """Have a block return an output without computing it; a copy, as what follows may work in place."""
    block.forward = lambda *args, **kwargs: _copied(output)
    try:
        yield
    finally:
        del block.forward


def _copied(output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        return output.clone()
    if isinstance(output, tuple | list):
        return type(output)(_copied(part) for part in output)
    return output


def _blocks(network: nn.Module) -> dict[str, nn.Module]:
    """The smallest modules in lists of modules that hold two products or more, by name."""
    found: dict[str, nn.Module] = {}
    for path, parent in network.named_modules():
        if not isinstance(parent, nn.ModuleList | nn.Sequential):
            continue
        for name, child in parent.named_children():
            if sum(isinstance(module, MatmulOperation) for module in child.modules()) > 1:
                found[f"{path}.{name}" if path else name] = child
    return {name: block for name, block in found.items() if not any(other.startswith(f"{name}.") for other in found)}
