"""Units in an ONNX graph: the references of `ptqsim.units.reference`, node by node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ptqsim import units
from ptqsim.ptq.onnx_export.integer.softmaxes import shift_exp, softmax, tflite_softmax
from ptqsim.ptq.onnx_export.integer.targets import aligned_table, code_by_shift
from ptqsim.ptq.onnx_export.integer.values import Value
from ptqsim.units.reference.layer_norm import newton_steps


def codes_of(unit: units.Unit, inputs: list[Value], length: int) -> Value:
    """Codes of a unit over the last axis, which has `length` values.

    Raises
    ------
    ValueError
        If the unit has no form in ONNX.
    """
    for kind, made in _FORMS.items():
        if isinstance(unit, kind):
            return made(unit, inputs, length)
    raise ValueError(f"a {type(unit).__name__} has no form in ONNX; take one of the units that ptqsim comes with")


def _array(values: Any) -> Any:
    return np.asarray(values, np.int64)


def _rescale(unit: Any, inputs: list[Value], length: int) -> Value:
    product = (inputs[0] + _array(unit.bias)) * _array(unit.multiplier.mantissa)
    return code_by_shift(product, unit.multiplier.shift, unit.out_format)


def _residual_add(unit: Any, inputs: list[Value], length: int) -> Value:
    stream, branch = inputs[0] * _array(unit.m1), (inputs[1] + _array(unit.bias)) * _array(unit.m2)
    return code_by_shift(stream + branch, unit.shift, unit.out_format)


def _layer_norm(unit: Any, inputs: list[Value], length: int) -> Value:
    x, p = inputs[0], unit.precision
    total = x.total()
    variance = ((x * x).total() * length - total * total + unit.epsilon).most(1)
    spare = 2 * p - variance.bit_length()
    exponent = spare - spare.graph.node("Mod", spare, 2)  # of Python's sign
    more, less = exponent.most(0).power(), (-exponent).most(0).power()
    radicand = (variance * more).over(less)
    root = radicand.graph.constant(1 << p)
    for _ in range(newton_steps(p)):
        root = root.least((root + radicand.over(root)).over(2))
    reciprocal = root.graph.constant(1 << (2 * p - 1)).over(root)
    shift = (2 * p - 1 - unit.fraction) - exponent.over(2)
    left, right = (-shift).most(0).power(), shift.most(0).power()
    normalized = ((x * length - total) * reciprocal * left + right.over(2)).down(right)
    scaled = normalized * _array(unit.gain) + _array(unit.offset)
    return code_by_shift(scaled, unit.fraction + unit.gain_fraction, unit.out_format)


def _activation(unit: Any, inputs: list[Value], length: int) -> Value:
    return _rescale(unit.rescale, inputs, length).of(unit.table)


def _shift_gelu(unit: Any, inputs: list[Value], length: int) -> Value:
    x = _rescale(unit.rescale, inputs, length).of(aligned_table(unit.rescale.out_format))
    magnified = x + x.down(2) + x.down(8) + x.down(16)
    peak = magnified.greatest()
    exponential = shift_exp(magnified - peak, unit.inverse_step, unit.shift)
    total = exponential + shift_exp(-peak, unit.inverse_step, unit.shift)
    sigmoid = (exponential * (2 << unit.sigmoid_bits) + total).over(total * 2)
    return _finished(x * sigmoid, unit)


def _i_gelu(unit: Any, inputs: list[Value], length: int) -> Value:
    x = _rescale(unit.rescale, inputs, length).of(aligned_table(unit.rescale.out_format))
    base = abs(x).least(-unit.vertex) + unit.vertex
    polynomial = base * base + unit.constant
    erf = (x > 0).where(polynomial, -polynomial)
    return _finished(-x * (erf + unit.one), unit)


def _finished(activated: Value, unit: Any) -> Value:
    return code_by_shift(activated * unit.multiplier.mantissa[0], unit.multiplier.shift[0], unit.out_format)


_FORMS: Final[dict[Any, Callable[[Any, list[Value], int], Value]]] = {
    units.Rescale: _rescale,
    units.ResidualAdd: _residual_add,
    units.LayerNorm: _layer_norm,
    units.SoftmaxUnit: softmax,
    units.TFLiteSoftmax: tflite_softmax,
    units.Activation: _activation,
    units.ShiftGELU: _shift_gelu,
    units.IGELU: _i_gelu,
}
