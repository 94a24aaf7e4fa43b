"""The calibration that ptqsim's is measured beside: PTQ4ViT's Algorithm 1 as it stands, written plainly in torch.

As in the released code, the whole network runs forward and backward for every operation, and every candidate of every
round is evaluated over all of the data, by fake quantization in float32.
"""

from __future__ import annotations

import torch

from ptqsim.ptq.calibration.methods.protocol import Method
from ptqsim.ptq.network.products.fake_quant import Format, fake_quantize
from ptqsim.ptq.network.products.operations import MatmulOperation
from ptqsim.ptq.network.quantized_model import QuantizedModel
from ptqsim.ptq.network.tasks.gradients import Gradient, task_loss
from ptqsim.ptq.search.candidates import Candidates, group_max, uniform
from ptqsim.ptq.search.capture import BATCH, OperationData

Chosen = tuple[int, ...]


def one_pass(quantized: QuantizedModel, op: MatmulOperation, images: torch.Tensor) -> OperationData:
    """Inputs, output and gradient of one operation, from a forward and a backward pass for it alone."""
    parts: list[dict[str, torch.Tensor]] = []

    def observe(op: MatmulOperation, a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> None:
        part = {"a": a.detach(), "b": b.detach(), "out": out.detach()}
        parts.append(part)
        out.register_hook(lambda grad: part.__setitem__("grad", grad))

    quantized.mode = "float"
    op.observer = observe
    try:
        for batch in images.split(BATCH):
            logits = quantized.model(batch.clone().requires_grad_())
            task_loss(logits, Gradient.PSEUDO_LABEL, torch.Generator()).backward()
    finally:
        op.observer = None
    joined = {key: torch.cat([part[key] for part in parts], dim=1) for key in ("a", "out", "grad")}
    b = op.constant_b if op.constant_b is not None else torch.cat([part["b"] for part in parts], dim=1)
    return OperationData(joined["a"], b, joined["out"], joined["grad"], len(images))


def search(data: OperationData, spaces: tuple[Candidates, Candidates], bits: int, rounds: int) -> list[Chosen]:
    """The choice of both operands by the Hessian guided metric (Eq. 7), by the full grid in every round."""
    starts = (uniform(group_max(x), bits, [1.0]) for x in (data.a, data.b))
    formats: list[tuple[Format, ...]] = [start.choose([0] * start.groups) for start in starts]
    chosen: list[Chosen] = [(), ()]
    for _ in range(rounds):
        for operand, space in enumerate(spaces):
            scores = torch.stack([
                score(data, [*formats[:operand], candidate, *formats[operand + 1 :]]) for candidate in space.formats
            ])  # fmt: skip
            if space.groups == 1:
                scores = scores.sum(dim=1, keepdim=True)
            chosen[operand] = tuple(scores.argmin(dim=0).tolist())
            formats[operand] = space.choose(chosen[operand])
    return chosen


def score(data: OperationData, formats: list[tuple[Format, ...]]) -> torch.Tensor:
    """Eq. 7 of each group."""
    assert data.grad is not None
    out = fake_quantize(data.a, formats[0]) @ fake_quantize(data.b, formats[1])
    error = (data.grad * (out - data.out)) ** 2
    return error.flatten(1).sum(dim=1, dtype=torch.float64)


def spaces_of(op: MatmulOperation, data: OperationData, method: Method, bits: int) -> tuple[Candidates, Candidates]:
    """Candidate formats of both operands."""
    a, b = method.a_candidates(op, data.a, bits), method.b_candidates(op, data.b, bits)
    assert isinstance(a, Candidates)  # symmetric ones have no zero points
    assert isinstance(b, Candidates)
    return a, b
