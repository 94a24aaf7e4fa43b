"""Steps and constants of a plan, made one after the other from the layers of a calibrated network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim import units
from ptqsim.formats.base import NumberFormat
from ptqsim.integer_only import Apply, Combine, Move, Product, Step
from ptqsim.integer_only.edges import Edge, coded_edge
from ptqsim.integer_only.moves import Rearrangement
from ptqsim.integer_only.plan import PIXEL_FORMAT, PIXELS
from ptqsim.ptq.integer_only.options import IntegerOnly, ResidualScale
from ptqsim.ptq.integer_only.seen import Seen
from ptqsim.ptq.network.products.blocked import plain_codes
from ptqsim.ptq.network.products.operations import WeightOperation

if TYPE_CHECKING:
    from ptqsim.ptq.network.quantized_model import QuantizedModel

MARGIN = 1.1
"""Range of a residual in units of the greatest magnitude that calibration sees."""


@dataclass(frozen=True, eq=False)
class Accumulators:
    """Accumulators of a layer: their edge, the real value of a unit, and the bias of the layer, per channel."""

    edge: str
    scale: NDArray[np.float64]
    bias: NDArray[np.float64]

    @property
    def scales(self) -> Any:
        """One scale, or one per channel."""
        return shared(self.scale)


class Builder:
    """A plan that grows by a step at a time."""

    def __init__(
        self, quantized: QuantizedModel, image: tuple[int, int, int], options: IntegerOnly, seen: Seen
    ) -> None:
        self.quantized = quantized
        self.options = options
        self.seen = seen
        self.steps: list[Step] = []
        self.edges: dict[str, Edge] = {PIXELS: coded_edge(PIXELS, image, (PIXEL_FORMAT,))}
        self._largest = max(seen.outputs.values(), default=1.0)

    def add(self, step: Step) -> str:
        """Append a step; the name of its edge."""
        self.edges[step.name] = step.edge(self.edges)
        self.steps.append(step)
        return step.name

    def move(self, name: str, source: str, *moves: Rearrangement) -> str:
        """A rearrangement."""
        return self.add(Move(name, source, moves))

    def linear(self, op: WeightOperation, source: str) -> Accumulators:
        """The product of a fully-connected layer."""
        self.add(Product(op.name, source, weights=tuple(plain_codes(op.weight_codes))))
        scale = accumulator_scale(op)
        return Accumulators(op.name, scale, bias_of(op, len(scale)))

    def rescale(self, name: str, given: Accumulators, out: NumberFormat) -> str:
        """Accumulators and bias to codes."""
        return self.add(Apply(name, (given.edge,), (self.rescale_unit(given, out),)))

    def rescale_unit(self, given: Accumulators, out: NumberFormat) -> units.Rescale:
        """The unit from accumulators to codes."""
        bits = self.acc_bits(given)
        return units.Rescale.from_real(given.scales, out, shared(given.bias), bits, self.options.multiplier_bits)

    def acc_bits(self, given: Accumulators) -> int:
        """Width of accumulators, and of a bias on their grid."""
        bias = int(np.max(np.abs(given.bias / given.scale))) + 1
        return max(self.edges[given.edge].aligned_bits, bias.bit_length() + 1)

    def residual_format(self, name: str, largest: float) -> pq.Uniform:
        """Format of the residual stream after the addition `name`, whose greatest magnitude was seen."""
        bits, wanted = self.options.residual_bits, self.options.residual_scale
        top = (1 << (bits - 1)) - 1
        reach = max(self._largest if wanted == ResidualScale.ONE else largest, 1e-6) * MARGIN
        if not isinstance(wanted, ResidualScale):
            if largest > top * wanted:
                needed = int(np.ceil(largest / wanted)).bit_length() + 1
                raise ValueError(
                    f"the residual {name!r} of {bits} bits with the scale {wanted:.6g} reaches to {top * wanted:.6g}, "
                    f"and {largest:.6g} was seen; give residual_bits={needed}, or a scale of {largest / top:.4g} or "
                    "more"
                )
            return pq.Uniform(bits, wanted)
        scale = reach / top
        if wanted == ResidualScale.POWER_OF_TWO:
            scale = 2.0 ** np.ceil(np.log2(scale))
        return pq.Uniform(bits, float(scale))

    def residual_add(
        self, name: str, stream: str, branch: Accumulators, largest: float, gain: NDArray[np.float64] | None = None
    ) -> str:
        """The residual stream plus a branch, whose channels are multiplied by `gain` (layer scale)."""
        x = self.edges[stream]
        out = self.residual_format(name, largest)
        unit = units.ResidualAdd.from_real(
            x.format.scale,
            branch.scales,
            out,
            shared(branch.bias),
            x.format.bits,
            self.acc_bits(branch),
            self.options.multiplier_bits,
            gain=1.0 if gain is None else gain,
        )
        return self.add(Apply(name, (stream, branch.edge), (unit,)))

    def layer_norm(self, name: str, module: Any, source: str, out: NumberFormat) -> str:
        """LayerNorm of codes of one format."""
        x, features = self.edges[source], int(module.normalized_shape[-1])
        gamma, beta = (
            default if one is None else numbers(one)
            for one, default in ((module.weight, np.ones(features)), (module.bias, np.zeros(features)))
        )
        options = self.options.layer_norm.options
        unit = units.LayerNorm.from_real(
            gamma,
            beta,
            module.eps,
            x.format.scale,
            out,
            features,
            x.aligned_bits,
            **options,
        )
        return self.add(Apply(name, (source,), (unit,)))

    def logits(self, name: str, heads: Sequence[Accumulators]) -> float:
        """The mean of the outputs of heads on one grid; the real value of one unit."""
        every = np.concatenate([one.scale for one in heads]) / len(heads)
        if np.all(every == every[0]):
            unit = float(every[0])
            factors: list[tuple[int, ...]] = [(1,)] * len(heads)
        else:
            # Factors of 15 bits bring channels of different scales on one grid, and no bit of a sum is dropped.
            unit = float(every.max() / (1 << 15))
            factors = [tuple(int(m) for m in nearest(one.scale / len(heads) / unit)) for one in heads]
        constant = nearest(sum(one.bias for one in heads) / len(heads) / unit)
        self.add(Combine(name, tuple(one.edge for one in heads), tuple(factors), constant, unit))
        return unit


def accumulator_scale(op: WeightOperation) -> NDArray[np.float64]:
    """Real value of one unit of an accumulator of a layer, per channel."""
    assert op.formats is not None
    a, codes = op.formats.a[0].scale, plain_codes(op.weight_codes)
    parts = [np.broadcast_to(a * np.asarray(one.format.scale), one.shape[-1]) for one in codes]
    return np.concatenate(parts).astype(np.float64)


def bias_of(op: WeightOperation, count: int) -> NDArray[np.float64]:
    """The bias that holds where the operation is quantized, zero where it has none."""
    bias = op.bias if op.corrected_bias is None else op.corrected_bias
    return np.zeros(count) if bias is None else numbers(bias)


def numbers(tensor: Any) -> NDArray[np.float64]:
    """A parameter as a vector of real numbers."""
    assert isinstance(tensor, torch.Tensor)
    return tensor.detach().double().cpu().numpy()


def nearest(values: Any) -> NDArray[np.int64]:
    """The nearest integers, a half upward."""
    return np.floor(np.asarray(values, np.float64) + 0.5).astype(np.int64)


def shared(values: NDArray[np.float64]) -> Any:
    """The one number that all are, or all of them."""
    return float(values[0]) if np.all(values == values[0]) else values
