"""The parts of a network that are reconstructed one after the other: its blocks, and the layers outside of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from ptqsim.ptq.network.products.operations import MatmulOperation, WeightOperation


@dataclass(frozen=True)
class Part:
    """A module of the network whose output is reconstructed.

    Attributes
    ----------
    name : str
    operations : tuple of str
        Names of its quantized operations.
    """

    name: str
    operations: tuple[str, ...]


def parts_of(network: nn.Module, layers: Mapping[str, MatmulOperation], *, by_layer: bool = False) -> list[Part]:
    """The parts of a network in the order in which they run.

    A block is an element of a list of modules (``nn.Sequential`` or ``nn.ModuleList``) with two quantized operations or
    more, of which no element of a further list in it has two: a transformer block of ViT, DeiT or Swin.  Every
    layer with a weight that is in no block is a part of its own: the patch projection, patch merging, the head.

    Parameters
    ----------
    network : nn.Module
        The network of a `QuantizedModel`.
    layers : mapping
        Its operations by name, in the order in which they run.
    by_layer : bool
        Make every layer with a weight a part, and no blocks.
    """
    if by_layer:
        return [Part(name, (name,)) for name, op in layers.items() if isinstance(op, WeightOperation)]
    lists = [name for name, module in network.named_modules() if isinstance(module, nn.Sequential | nn.ModuleList)]
    elements = [f"{name}.{key}" if name else key for name in lists for key, _ in _children(network, name)]
    inside = {element: tuple(name for name in layers if name.startswith(f"{element}.")) for element in elements}
    blocks = {element: names for element, names in inside.items() if len(names) > 1}
    inner = {e: names for e, names in blocks.items() if not any(o.startswith(f"{e}.") for o in blocks)}
    block_of = {name: element for element, names in inner.items() for name in names}
    found: dict[str, Part] = {}
    for name, operation in layers.items():
        block = block_of.get(name)
        if block is not None:
            found[block] = Part(block, inner[block])
        elif isinstance(operation, WeightOperation):
            found[name] = Part(name, (name,))
    return list(found.values())


def _children(network: nn.Module, name: str) -> list[tuple[str, nn.Module]]:
    return list(network.get_submodule(name).named_children())
