"""The calibration of one operation: scale search, then the rounding of its weights, then its bias."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch

import ptqsim as pq
from ptqsim.ptq.calibration.methods.protocol import BitSplitting, Method
from ptqsim.ptq.calibration.operand_rules import Granularity, OperandRules
from ptqsim.ptq.calibration.rounding.bit_split import bit_split, reconstruction
from ptqsim.ptq.calibration.rounding.fit import fit_layer
from ptqsim.ptq.calibration.rounding.gptq import compensated
from ptqsim.ptq.network.admission.finite import check_operands
from ptqsim.ptq.network.products.blocked import Side
from ptqsim.ptq.network.products.execute import WeightCodes
from ptqsim.ptq.network.products.fake_quant import Format, decode_codes, fake_quantize
from ptqsim.ptq.network.products.operations import MatmulOperation, OperandFormats, WeightOperation
from ptqsim.ptq.search.alternate import Space, alternate
from ptqsim.ptq.search.asymmetric import asymmetric, group_ranges
from ptqsim.ptq.search.candidates import Candidates, UniformCandidates, group_max, uniform
from ptqsim.ptq.search.capture import OperationData
from ptqsim.ptq.search.per_channel.columns import ChannelCandidates, as_channels


@dataclass(frozen=True)
class LayerResult:
    """Result of the calibration of one operation.

    Attributes
    ----------
    formats : OperandFormats
    depth : int
        K of the product.
    report : mapping
        Objective, its score, normalized scales, candidates tried; plain data.  ``ties``, where there are any, says
        for which operands and groups the objective could not tell candidates apart, why, and what decided
        (:class:`~ptqsim.ptq.search.ties.Tie`).
    weight_codes : list of QuantizedArray or None
        Where the method chose the codes; None where rounding to the formats gives them.
    bias : float tensor [N] or None
        The corrected bias, where there is one.
    norms : mapping of str to float tensor
        Parameters of norms that were learned with it, by name; ``apply`` leaves them to its caller.
    """

    formats: OperandFormats
    depth: int
    report: Mapping[str, object]
    weight_codes: WeightCodes | None = None
    bias: torch.Tensor | None = None
    norms: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def apply(self, op: MatmulOperation) -> None:
        """Hand it to the operation."""
        op.formats, op.depth, op.report = self.formats, self.depth, self.report
        if isinstance(op, WeightOperation):
            if self.weight_codes is not None:
                op.weight_codes = self.weight_codes
            if self.bias is not None:
                op.corrected_bias = self.bias.to(op.weight.device)


def calibrate_layer(
    op: MatmulOperation,
    data: OperationData,
    method: Method,
    w_bits: int,
    a_bits: int,
    rules: OperandRules | None = None,
) -> LayerResult:
    """Find the formats, codes and bias of one operation.

    Parameters
    ----------
    op : MatmulOperation
        It is left as it is.
    data : OperationData
        Its inputs on the calibration images, and as ``out`` the output that it should give.
    method : Method
    w_bits, a_bits : int
        Width of weights and activations.
    rules : OperandRules, optional
        Those by default if None.

    Raises
    ------
    ValueError
        Where its inputs, or the scales found for it, are not finite, and where weights cannot be fitted.
    """
    rules = rules or OperandRules()
    check_operands(op, data.a, data.b, data.out)
    constant_b = op.constant_b is not None
    b_bits = w_bits if constant_b else a_bits
    b_symmetric = constant_b or rules.a_symmetric
    # Algorithm 1 line 8: max / 2**(bits-1)
    a_start, b_start = maximum_of(data.a, a_bits, rules.a_symmetric), maximum_of(data.b, b_bits, b_symmetric)
    b_space: Space | ChannelCandidates
    # A group with a single column has a scale of its own already.
    if constant_b and rules.granularity == Granularity.CHANNEL and data.b.shape[2] > 1:
        columns = as_channels(data.b)
        b_space = per_channel(method.b_candidates(op, columns, b_bits), len(data.b))
        b_start = per_channel(uniform(group_max(columns), b_bits, [1.0]), len(data.b)).choose([0] * len(columns))
    else:
        b_space = _named(rules, method, op, "b", data.b, b_bits) or method.b_candidates(op, data.b, b_bits, b_symmetric)
    a_space = _named(rules, method, op, "a", data.a, a_bits) or method.a_candidates(
        op, data.a, a_bits, rules.a_symmetric
    )
    spaces = a_space, b_space
    objective = method.objective(op)
    found = alternate(data, spaces, (a_start, b_start), objective, method.schedule(op), constant_b=constant_b)
    formats = OperandFormats(spaces[0].choose(found.a), spaces[1].choose(found.b))
    report: dict[str, object] = {
        "objective": objective.name,
        "score": found.score if math.isfinite(found.score) else None,
        "rounds": found.rounds,
        "evaluated": found.evaluated,
        "pruned": found.pruned,
        "a_normalized": list(spaces[0].choose_normalized(found.a)),
        "b_normalized": list(spaces[1].choose_normalized(found.b)),
    }
    if found.ties:
        report["ties"] = [tie.to_dict() for tie in found.ties]
    if not isinstance(op, WeightOperation):
        return LayerResult(formats, data.a.shape[-1], report)
    codes: WeightCodes | None = None
    if method.bit_splitting is not None:
        formats, codes = _split_bits(data, formats, method.bit_splitting)
    if method.error_compensation is not None:
        codes = compensated(data, formats, method.error_compensation)
    if rules.fit is not None:
        formats, codes, report["fit"] = fit_layer(op.name, data, formats, codes, rules.fit)
    bias = _corrected_bias(op, data, formats, codes) if method.bias_correction else None
    return LayerResult(formats, data.a.shape[-1], report, codes, bias)


def _named(
    rules: OperandRules, method: Method, op: MatmulOperation, side: Side, x: torch.Tensor, bits: int
) -> Space | None:
    """Candidates of an operand whose format was named, with the multiples that the method tries of uniform scales."""
    if (named := rules.named(op, side)) is None:
        return None
    kind, fmt = named
    tried = method.b_candidates(op, x[:1], bits)
    assert isinstance(tried, Candidates)  # symmetric ones have no zero points
    return fmt.candidates(x, kind, bits, [multiples[0] for multiples in tried.normalized], side)


def maximum_of(x: torch.Tensor, bits: int, symmetric: bool = True) -> tuple[Format, ...]:
    """Formats of the groups of x [G, ...] that just cover its greatest magnitudes, or its least and greatest values."""
    if symmetric:
        return uniform(group_max(x), bits, [1.0]).choose([0] * len(x))
    return asymmetric(group_ranges(x), bits, [1.0], placed=False).choose([0] * len(x))


def per_channel(columns: Space, groups: int) -> ChannelCandidates:
    """Candidates of every column of a weight, as those of the weight."""
    assert isinstance(columns, UniformCandidates)  # every method has such weights
    return ChannelCandidates(columns, groups)


def _split_bits(
    data: OperationData, formats: OperandFormats, options: BitSplitting
) -> tuple[OperandFormats, WeightCodes]:
    """The weight of each group by bit splitting, from the nearest codes of the searched scale."""
    a_hat = fake_quantize(data.a, formats.a)
    found, found_formats = [], []
    for group, fmt in enumerate(formats.b):
        assert isinstance(fmt, pq.Uniform)
        if not fmt.signed or fmt.zero_point:
            raise ValueError(
                f"bit splitting is defined for symmetric weights, got {fmt.short()} for group {group}; take signed "
                "codes with a zero point of 0"
            )
        weight = data.b[group]
        # One input for all groups, or, of a convolution in groups, one for each.
        problem = reconstruction(a_hat[group % len(a_hat)], data.out[group], weight, options.damping)
        steps = torch.tensor(fmt.steps, dtype=weight.dtype, device=weight.device)
        nearest = (weight / steps).round().clamp(-(2 ** (fmt.bits - 1)), 2 ** (fmt.bits - 1) - 1).double()
        q, scale = bit_split(problem, nearest, fmt.scale, fmt.bits, options.epochs)
        chosen = replace(fmt, scale=scale)
        mask = (1 << fmt.bits) - 1  # two's complement of k bits
        codes = (q.cpu().numpy().astype(np.int64) & mask).astype(chosen.code_dtype)
        found.append(pq.QuantizedArray(codes, chosen))
        found_formats.append(chosen)
    return OperandFormats(formats.a, tuple(found_formats)), found


def _corrected_bias(
    op: WeightOperation, data: OperationData, formats: OperandFormats, codes: WeightCodes | None
) -> torch.Tensor:
    """The bias less E[O_hat - O] = E[eW X] + E[eX W] + E[eX eW] (Liu et al. Eq. 15), on the calibration data."""
    b_hat = fake_quantize(data.b, formats.b) if codes is None else decode_codes(codes, data.b)
    error = torch.matmul(fake_quantize(data.a, formats.a), b_hat) - data.out  # [G, rows, N / G]
    expected = error.mean(dim=1, dtype=torch.float64).flatten()
    bias = torch.zeros_like(expected) if op.bias is None else op.bias.detach().double()
    corrected = (bias - expected).to(data.out.dtype).cpu()
    if not bool(torch.isfinite(corrected).all()):
        raise ValueError(
            f"the corrected bias of layer {op.name!r} is beyond float32: its output reaches "
            f"{float(data.out.abs().max()):.3g}; scale the weights down, or use bias_correction=False"
        )
    return corrected
