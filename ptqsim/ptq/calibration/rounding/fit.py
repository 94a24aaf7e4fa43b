"""Weights of a layer that fit an accumulator: their scale and their codes (docs/fitted_weights.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import ptqsim as pq
from ptqsim import fitting
from ptqsim.common.choice import Choice
from ptqsim.common.progress import Progress, silent
from ptqsim.fitting.compensation import errors
from ptqsim.ptq.calibration.rounding.gram import gram
from ptqsim.ptq.network.products.blocked import plain_codes, plain_formats
from ptqsim.ptq.network.products.execute import WeightCodes
from ptqsim.ptq.network.products.operations import OperandFormats, WeightOperation
from ptqsim.ptq.network.quantized_model import QuantizedModel, run_as_fitted
from ptqsim.ptq.search.capture import Captured, OperationData

STEPS_PER_OCTAVE: Final = 2


class FitMethod(Choice):
    """A way to make weights fit: the nearest codes, or codes rounded with compensation of the error."""

    PROJECT = "project"
    COMPENSATE = "compensate"


@dataclass(frozen=True)
class Fit:
    """An accumulator that no input of a layer with weights shall overflow, and the way to it."""

    accumulator: pq.Accumulator
    method: FitMethod = FitMethod.COMPENSATE

    def to_dict(self) -> dict[str, Any]:
        """The fit as plain data."""
        return {"method": str(self.method), "accumulator": self.accumulator.to_dict()}


@dataclass(frozen=True)
class _Group:
    """One product of inputs and weights, with X^T X of the quantized inputs on the calibration images."""

    a: pq.NumberFormat
    weight: NDArray[np.float32]
    hessian: NDArray[np.float64]
    fit: Fit

    def projected(self, fmt: pq.Uniform, codes: pq.QuantizedArray | None = None) -> pq.QuantizedArray:
        return fitting.fit_weights(self.weight if codes is None else codes, self.a, fmt, self.fit.accumulator)

    def errors(self, codes: pq.QuantizedArray) -> NDArray[np.float64]:
        """Squared errors [N] of the output on the calibration images."""
        return errors(codes.dequantize(), self.weight, self.hessian)  # type: ignore[arg-type]

    def fitted(self, fmt: pq.Uniform, chosen: pq.QuantizedArray | None) -> pq.QuantizedArray:
        """Codes at the best of the scales; ``chosen`` are those of a method, at the scale that it found."""
        ratios = _ratios(fmt.bits)
        tried = [self.projected(fmt, chosen), *(self.projected(_scaled(fmt, ratio)) for ratio in ratios[1:])]
        costs = np.stack([self.errors(codes) for codes in tried])  # [ratios, N]
        if fmt.axis is None:
            costs = costs.sum(axis=1, keepdims=True)
        best = costs.argmin(axis=0)  # of equal ones the least scale
        found = tried[int(best[0])] if fmt.axis is None else _column_by_column(fmt, tried, best)
        if self.fit.method == FitMethod.PROJECT:
            return found
        made = fitting.fit_weights(self.weight, self.a, found.format, self.fit.accumulator, self.hessian)  # type: ignore[arg-type]
        better = self.errors(made) < self.errors(found)
        return pq.QuantizedArray(np.where(better, made.codes, found.codes), found.format)


def _column_by_column(fmt: pq.Uniform, tried: Sequence[pq.QuantizedArray], best: NDArray[np.intp]) -> pq.QuantizedArray:
    """Of each column [N] the codes at its best scale."""
    columns = np.arange(len(best))
    codes = np.stack([one.codes for one in tried])[best, :, columns].T
    scales = np.stack([np.asarray(one.format.scale) for one in tried])[best, columns]
    return pq.QuantizedArray(codes, replace(fmt, scale=scales))


def _ratios(bits: int) -> NDArray[np.float64]:
    """Multiples of the scale that are tried: 1, and on to where a weight of the old scale has two bits left."""
    return 2.0 ** (np.arange(STEPS_PER_OCTAVE * (bits - 2) + 1) / STEPS_PER_OCTAVE)


def _scaled(fmt: pq.Uniform, ratio: float) -> pq.Uniform:
    """The format with a scale that is so many times as large, rounded to float32 as every scale is."""
    scale = np.asarray(np.asarray(fmt.scale, np.float64) * ratio, np.float32).astype(np.float64)
    return replace(fmt, scale=scale if fmt.axis is not None else float(scale))


def fit_layer(
    name: str, data: OperationData, formats: OperandFormats, codes: WeightCodes | None, fit: Fit
) -> tuple[OperandFormats, WeightCodes | None, dict[str, Any]]:
    """Formats and codes of one layer with which no input overflows; unchanged where that holds already.

    Parameters
    ----------
    name : str
        The layer, for messages.
    data : OperationData
        Its inputs on the calibration images and its float weight.
    formats : OperandFormats
        The formats that calibration found.
    codes : list of QuantizedArray or None
        Codes that a method chose; None where they are those that the formats round to.
    fit : Fit
        The accumulator and the method.

    Returns
    -------
    formats : OperandFormats
    codes : list of QuantizedArray or None
    report : dict
        Columns that did not fit and the number of all, widths that the registers need after the fit, and where anything
        changed the relative squared error of the output before and after it.

    Raises
    ------
    ValueError
        If a column cannot be fitted; the message names the layer, the group, the column and the width that would do.
    """
    found: list[pq.QuantizedArray] = []
    given = None if codes is None else plain_codes(codes)
    a_formats = plain_formats(formats.a)
    wrong = total = 0
    before, after, power = 0.0, 0.0, 0.0
    widths: dict[str, int] = {}
    weights = data.b.detach().cpu().numpy()
    for group, fmt in enumerate(formats.b):
        assert isinstance(fmt, pq.Uniform)
        a = a_formats[group % len(a_formats)]
        nearest = pq.quantize(weights[group], fmt) if given is None else given[group]
        loose = _overflowing(a, nearest, fit.accumulator)
        wrong, total = wrong + loose, total + nearest.shape[1]
        fitted = nearest
        if loose:
            part = _Group(a, weights[group], gram(data, formats, group), fit)
            try:
                fitted = part.fitted(fmt, None if codes is None else nearest)
            except ValueError as error:
                raise ValueError(f"layer {name!r}, group {group}: {error}") from None
            before += float(part.errors(nearest).sum())
            after += float(part.errors(fitted).sum())
            power += float(errors(np.zeros_like(part.weight, np.int64), part.weight, part.hessian).sum())  # type: ignore[arg-type]
        found.append(fitted)
        for register, bound in fitting.certificate(a, fitted, fit.accumulator).items():
            widths[register] = max(widths.get(register, 0), bound.bits)
    report: dict[str, Any] = {"method": str(fit.method), "channels": wrong, "of": total, "bits": widths}
    if not wrong:
        return formats, codes, report
    report["error"] = {"before": before / power, "after": after / power}
    return OperandFormats(formats.a, tuple(one.format for one in found)), found, report  # type: ignore[misc]


def _overflowing(a: pq.NumberFormat, codes: pq.QuantizedArray, accumulator: pq.Accumulator) -> int:
    """Number of columns that an input can make overflow."""
    widths = fitting.register_widths(accumulator)
    over = np.zeros(codes.shape[1], np.bool_)
    for name, bound in fitting.certificate(a, codes, accumulator).items():
        assert bound.per_output is not None
        over |= bound.per_output > widths[name]
    return int(over.sum())


def fit_network(quantized: QuantizedModel, captured: Captured, fit: Fit, progress: Progress = silent) -> None:
    """Fit all weights of a calibrated network, as calibration of layers in parallel does after each search.

    Parameters
    ----------
    quantized : QuantizedModel
        Its layers get new codes; biases are left as they are.
    captured : Captured
        Of the float network that it was calibrated from.
    fit : Fit
        The accumulator and the method.
    progress : callable
        Called with layers done, all layers, and the name of the one done last.
    """
    layers = [op for op in quantized.layers.values() if isinstance(op, WeightOperation)]
    for done, op in enumerate(layers, start=1):
        assert op.formats is not None
        formats, codes, report = fit_layer(op.name, captured[op.name], op.formats, op.weight_codes, fit)
        assert codes is not None
        bias = op.corrected_bias
        op.formats = formats
        op.weight_codes, op.corrected_bias = codes, bias
        op.report = {**op.report, "fit": report}
        progress(done, len(layers), op.name)
    quantized.info["fit"] = fit.to_dict()
    run_as_fitted(quantized)
