"""X^T X of the quantized inputs of a layer, which says what an error of its weights costs."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ptqsim.ptq.network.products.fake_quant import fake_quantize
from ptqsim.ptq.network.products.operations import OperandFormats
from ptqsim.ptq.search.capture import OperationData

DAMPING: Final = 0.01
"""Part of the mean of the diagonal of X^T X that is added to it (GPTQ, Frantar et al., ICLR 2023, section 3)."""


def gram(data: OperationData, formats: OperandFormats, group: int) -> NDArray[np.float64]:
    """X^T X [K, K] of the quantized inputs of one group, damped."""
    inputs = fake_quantize(data.a, formats.a)
    x = inputs[group % len(inputs)].reshape(-1, inputs.shape[-1]).double()
    found: NDArray[np.float64] = (x.T @ x).cpu().numpy()
    mean = float(found.diagonal().mean())
    return found + np.eye(len(found)) * (DAMPING * mean if mean > 0 else 1.0)
