"""The float network's outputs, which those of a calibrated model are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptqsim.cli.framework.output import Output

if TYPE_CHECKING:
    from ptqsim import ptq


def float_outputs(
    quantized: ptq.QuantizedModel,
    found: ptq.Outputs,
    data: ptq.Dataset,
    limit: int | None,
    batch: int,
    out: Output,
) -> ptq.Outputs | None:
    """Run the float network of a calibrated model over the same images.

    Parameters
    ----------
    quantized : QuantizedModel
        Its mode is as before afterwards.
    found : Outputs
        Outputs of the calibrated model.
    data, limit, batch : Dataset, int or None and int
        As for :func:`ptqsim.ptq.measure`.
    out : Output
        Shows the progress, and says why there is nothing to compare with.

    Returns
    -------
    Outputs or None
        None where the metrics of the task compare with the float network themselves, and where the calibrated file has
        codes in place of the weights and these were not named.
    """
    from ptqsim import ptq

    if found.compared:
        return None
    if quantized.info.get("float_weights") == "decoded":
        out.note(
            "not compared with the float network, as the calibrated file holds codes in place of its weights: name "
            "them with --checkpoint or --pretrained"
        )
        return None
    mode, quantized.mode = quantized.mode, ptq.Mode.FLOAT
    try:
        with out.progress("the float network", "image") as report:
            return ptq.measure(quantized, data, limit=limit, batch=batch, progress=report)
    finally:
        quantized.mode = mode
