"""The MSA and MLP modules of a network: all operations of one share a width (Liu et al. section 3.3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ptqsim.ptq.network.products.operations import MatmulOperation

ModuleKind = Literal["msa", "mlp"]


@dataclass(frozen=True)
class TransformerModule:
    """Operations that share a width.

    Attributes
    ----------
    name : str
        Dotted path of the module, e.g. ``blocks.0.attn``.
    kind : {"msa", "mlp"}
    operations : tuple of MatmulOperation
        In the order of execution.
    """

    name: str
    kind: ModuleKind
    operations: tuple[MatmulOperation, ...]

    @property
    def weights(self) -> int:
        """Number of weights."""
        return sum(weight_count(op) for op in self.operations)


def transformer_modules(layers: Mapping[str, MatmulOperation]) -> list[TransformerModule]:
    """The MSA and MLP modules among the operations of a network, in order; what is in neither is left out."""
    siblings: dict[str, list[MatmulOperation]] = defaultdict(list)
    for name, op in layers.items():
        siblings[name.rpartition(".")[0]].append(op)
    found = []
    for name, operations in siblings.items():
        if any(op.kind == "matmul_qk" for op in operations):
            found.append(TransformerModule(name, "msa", tuple(operations)))
        elif any(op.name.rpartition(".")[2] == "fc2" for op in operations):
            found.append(TransformerModule(name, "mlp", tuple(operations)))
    return found


def weight_count(op: MatmulOperation) -> int:
    """Number of weights of an operation; an attention product has none."""
    return 0 if op.constant_b is None else op.constant_b.numel()
