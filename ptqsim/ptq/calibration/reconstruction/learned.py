"""Quantized operations and norms while they are learned."""

from __future__ import annotations

from collections import Counter

import torch
from torch import nn

import ptqsim as pq
from ptqsim.ptq.calibration.reconstruction.quantizers import Activation, Codes, Weight
from ptqsim.ptq.network.products.operations import MatmulOperation, OperandFormats, WeightOperation
from ptqsim.ptq.network.quantized_model import QuantizedModel


class LearnedOperation:
    """The product of an operation with soft rounding, which takes the place of its own while it is learned.

    Parameters
    ----------
    operation : MatmulOperation
        It has formats; those of a weight are uniform.
    drop : float
        Probability that an activation is left in float (QDrop, Wei et al., ICLR 2022).
    generator : torch.Generator
        Source of what is dropped.
    learn_rounding : bool
        Learn the rounding of the weight too; else its codes stay as they are.
    """

    def __init__(
        self, operation: MatmulOperation, drop: float, generator: torch.Generator, *, learn_rounding: bool = True
    ) -> None:
        formats = operation._require_formats()
        constant = operation.constant_b
        self.operation = operation
        self.drop = drop
        self.generator = generator
        device = next((t.device for t in (constant,) if t is not None), torch.device("cpu"))
        self.a = Activation(formats.a, device)
        self.b: Activation | Weight | Codes
        if constant is None:
            self.b = Activation(formats.b, device)
        else:
            self.b = _weight(operation, formats) if learn_rounding else _codes(operation)
        self.bias: torch.Tensor | None = None
        if isinstance(operation, WeightOperation):
            given = operation.bias if operation.corrected_bias is None else operation.corrected_bias
            zeros = torch.zeros(operation.weight.shape[0], device=device, dtype=operation.weight.dtype)
            self.bias = (zeros if given is None else given.detach().clone()).requires_grad_(True)

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """a [Ga, ..., M, K] @ b [Gb, ..., K, N], both rounded; b of a layer with a weight is its own."""
        right = self._dropped(b, self.b) if isinstance(self.b, Activation) else self.b()
        return torch.matmul(self._dropped(a, self.a), right)

    def _dropped(self, x: torch.Tensor, quantizer: Activation) -> torch.Tensor:
        found = quantizer(x)
        return mixed(found, x, self.drop, self.generator) if self.drop else found

    def ratios(self) -> list[torch.Tensor]:
        """The variables of the scales."""
        return [one.log_ratio for one in (self.a, self.b) if one.log_ratio.requires_grad]

    def __enter__(self) -> LearnedOperation:
        self.operation.substitute = self
        if isinstance(self.operation, WeightOperation):
            self.operation.corrected_bias = self.bias
        return self

    def __exit__(self, *_error: object) -> None:
        self.operation.substitute = None

    def finish(self) -> None:
        """Hand what was learned to the operation: formats, codes and bias."""
        operation = self.operation
        if isinstance(self.b, Activation):
            operation.formats = OperandFormats(self.a.found(), self.b.found())
            return
        formats, codes = self.b.found()
        operation.formats = OperandFormats(self.a.found(), formats)
        assert isinstance(operation, WeightOperation)
        assert self.bias is not None
        operation.weight_codes = codes
        operation.corrected_bias = self.bias.detach()


class LearnedNorm:
    """A LayerNorm with variables in place of its weight and its bias while they are learned.

    Parameters
    ----------
    quantized : QuantizedModel
        It gets what was learned.
    name : str
        Of the norm in the network.
    """

    def __init__(self, quantized: QuantizedModel, name: str) -> None:
        self.quantized, self.name = quantized, name
        self.module = quantized.model.get_submodule(name)
        self.own = {key: value for key, value in self.module._parameters.items() if value is not None}
        self.learned = {key: nn.Parameter(value.detach().clone()) for key, value in self.own.items()}

    def variables(self) -> list[torch.Tensor]:
        """All variables."""
        return list(self.learned.values())

    def __enter__(self) -> LearnedNorm:
        self.module._parameters.update(self.learned)
        return self

    def __exit__(self, *_error: object) -> None:
        self.module._parameters.update(self.own)

    def finish(self) -> None:
        """Hand what was learned to the network."""
        self.quantized.tune({f"{self.name}.{key}": value for key, value in self.learned.items()})


def norms_in(quantized: QuantizedModel, part: str = "") -> list[LearnedNorm]:
    """All LayerNorms of a part of the network, or of the whole one, that have a weight of their own."""
    users = Counter(id(p) for _, p in quantized.model.named_parameters(remove_duplicate=False))
    return [
        LearnedNorm(quantized, name)
        for name, module in quantized.model.named_modules()
        if isinstance(module, nn.LayerNorm)
        and module.elementwise_affine
        and (not part or name.startswith(f"{part}."))
        and all(users[id(p)] == 1 for p in module.parameters())
    ]


def _weight(operation: MatmulOperation, formats: OperandFormats) -> Weight:
    uniform = [fmt for fmt in formats.b if isinstance(fmt, pq.Uniform)]
    assert operation.constant_b is not None
    assert len(uniform) == len(formats.b)  # weights of every method are uniform
    return Weight(operation.constant_b.contiguous(), uniform)


def _codes(operation: MatmulOperation) -> Codes:
    assert isinstance(operation, WeightOperation)
    return Codes(operation.weight_codes, operation.weight)


def mixed(x: torch.Tensor, other: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Elements of x, each replaced by that of another tensor with probability share, a multiple of 1/256."""
    words = -(-x.numel() // 8)
    # random bytes: an eighth of the numbers that a uniform draw of each element takes
    drawn = torch.randint(-(2**63), 2**63 - 1, (words,), generator=generator).view(torch.uint8)[: x.numel()]
    replaced = (drawn.to(x.device) < round(256 * share)).reshape(x.shape)
    return x + replaced * (other - x)
