"""Refusal of values that no scale can be found for: NaN, and what is beyond float32."""

from __future__ import annotations

import torch

from ptqsim.ptq.network.products.operations import MatmulOperation


def check_operands(op: MatmulOperation, a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> None:
    """Refuse what an operation sees if it is not finite, with a ValueError that names the operation and the operand.

    Parameters
    ----------
    op : MatmulOperation
    a, b, out : float tensor
        Both operands, and their product.
    """
    right = "right operand" if op.constant_b is None else "weight"
    for what, x in (("input", a), (right, b)):
        if not _is_finite(x):
            raise ValueError(
                f"the {what} of layer {op.name!r} holds NaN or infinite values on the calibration images, so that no "
                "scale fits it: check the weights before it and the preprocessing"
            )
    if not _is_finite(out):
        raise ValueError(
            f"the output of layer {op.name!r} is beyond float32: its input reaches {_top(a):.3g} and its {right} "
            f"{_top(b):.3g}; scale the weights or the images down"
        )


def _top(x: torch.Tensor) -> float:
    return float(x.detach().abs().max())


def _is_finite(x: torch.Tensor) -> bool:
    if x.numel() == 0:
        return True
    low, high = x.detach().aminmax()  # both NaN if one value is
    return bool(torch.isfinite(low) & torch.isfinite(high))
