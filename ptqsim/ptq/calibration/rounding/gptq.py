"""The weight of a layer rounded with compensation of the error (GPTQ, Frantar et al., ICLR 2023)."""

from __future__ import annotations

import ptqsim as pq
from ptqsim import fitting
from ptqsim.ptq.calibration.methods.protocol import ErrorCompensation
from ptqsim.ptq.calibration.rounding.gram import gram
from ptqsim.ptq.network.products.execute import WeightCodes
from ptqsim.ptq.network.products.operations import OperandFormats
from ptqsim.ptq.search.capture import OperationData


def compensated(data: OperationData, formats: OperandFormats, options: ErrorCompensation) -> WeightCodes:
    """Codes of the weight of each group, at the scales that the search found.

    Parameters
    ----------
    data : OperationData
        The inputs of the layer on the calibration images, and its float weight.
    formats : OperandFormats
    options : ErrorCompensation
    """
    found: list[pq.QuantizedArray] = []
    for group, fmt in enumerate(formats.b):
        assert isinstance(fmt, pq.Uniform)  # weights of every method are uniform
        weight = data.b[group].detach().cpu().numpy()
        found.append(fitting.round_weights(weight, fmt, gram(data, formats, group), sweeps=options.sweeps))
    return found
