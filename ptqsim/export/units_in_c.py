"""Units and formats as initializers of the structs of runtime/units.h."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ptqsim import units
from ptqsim.export.constants import Constants
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.uniform import Uniform
from ptqsim.units import target

_KINDS: Final = ("UNIFORM", "TWIN_SOFTMAX", "TWIN_SOFTMAX_NEAREST", "TWIN_GELU", "LOG2")


def format_in_c(fmt: NumberFormat, to: Constants) -> str:
    """Name of the struct of a format."""
    kind, low, high, zero, bits, shift, down = (int(value) for value in target.kernel_constants(fmt))
    signed = int(isinstance(fmt, Uniform) and fmt.signed)
    fields = f"{_KINDS[kind]}, {low}, {high}, {zero}, {bits}, {shift}, {down}, {signed}"
    return to.struct("format", "f", fields)


def call_of(unit: units.Unit, to: Constants) -> tuple[str, str]:
    """Name of the function of a unit, and of the struct that it takes.

    Raises
    ------
    ValueError
        If the unit has no form in C.
    """
    for kind, made in _FORMS.items():
        if isinstance(unit, kind):
            return made(unit, to)
    raise ValueError(f"a {type(unit).__name__} has no form in C; take one of the units that ptqsim comes with")


def _rescale_fields(unit: units.Rescale, to: Constants) -> str:
    factors = to.per_channel(unit.multiplier.mantissa), to.per_channel(unit.multiplier.shift)
    return f"&{format_in_c(unit.out_format, to)}, {to.per_channel(unit.bias)}, {factors[0]}, {factors[1]}"


def _rescale(unit: Any, to: Constants) -> tuple[str, str]:
    return "rescale", to.struct("rescale_unit", "u", _rescale_fields(unit, to))


def _residual_add(unit: Any, to: Constants) -> tuple[str, str]:
    constants = ", ".join(to.per_channel(values) for values in (unit.bias, unit.m1, unit.m2))
    fields = f"&{format_in_c(unit.out_format, to)}, {constants}, {unit.shift}"
    return "residual_add", to.struct("residual_unit", "u", fields)


def _layer_norm(unit: Any, to: Constants) -> tuple[str, str]:
    constants = f"{to.per_channel(unit.gain)}, {to.per_channel(unit.offset)}"
    widths = f"{unit.epsilon}LL, {unit.precision}, {unit.fraction}, {unit.gain_fraction}"
    fields = f"&{format_in_c(unit.out_format, to)}, {constants}, {widths}"
    return "layer_norm", to.struct("layer_norm_unit", "u", fields)


def _softmax(unit: Any, to: Constants) -> tuple[str, str]:
    exact = int(unit.division.method == units.DivisionMethod.EXACT)
    division = f"{exact}, {unit.division.bits}, {unit.gain[0]}LL, {unit.gain[1]}"
    none = to.array([0])
    if isinstance(unit, units.Softmax):
        fraction, table = unit.fraction_bits, to.array(unit.table)
        own = f"BASE_TWO, {_one(unit.multiplier)}, {unit.position_bits}, {fraction}, {table}, 0, 0, 0, 0"
    elif isinstance(unit, units.RunningSoftmax):
        fraction, table = unit.fraction_bits, to.array(unit.table)
        own = f"RUNNING, {_one(unit.multiplier)}, 0, {fraction}, {table}, 0, 0, {unit.most_halvings}, {unit.part}"
    elif isinstance(unit, units.Shiftmax):
        own = f"SHIFTMAX, {unit.inverse_step}LL, {unit.shift}, 0, 0, {none}, 0, 0, 0, 0"
    elif isinstance(unit, units.ITASoftmax):
        own = f"ITA, {_one(unit.multiplier)}, 0, 0, {none}, 0, 0, {unit.amplitude_bits}, {unit.part}"
    else:
        own = f"I_EXP, {unit.ln2}LL, {unit.most_halvings}, 0, 0, {none}, {unit.vertex}LL, {unit.constant}LL, 0, 0"
    fields = f"&{format_in_c(unit.out_format, to)}, {own}, {division}"
    return "softmax", to.struct("softmax_unit", "u", fields)


def _tflite_softmax(unit: Any, to: Constants) -> tuple[str, str]:
    mantissa, shift = unit.gain
    own = f"{unit.multiplier}LL, {unit.least_difference}LL, {mantissa}LL, {unit.left_shift}, {shift}"
    return "tflite_softmax", to.struct("tflite_softmax_unit", "u", f"&{format_in_c(unit.out_format, to)}, {own}")


def _one(multiplier: units.Multiplier) -> str:
    """The mantissa and the shift of a multiplier for a whole tensor."""
    return f"{multiplier.mantissa[0]}LL, {multiplier.shift[0]}"


def _activation(unit: Any, to: Constants) -> tuple[str, str]:
    rescale, out = _rescale_fields(unit.rescale, to), format_in_c(unit.out_format, to)
    if isinstance(unit, units.Activation):
        own = f"TABLE, {{{rescale}}}, {to.array(unit.table)}, 0, 0, 0, 0, 0, 0, 0, 0"
    else:
        factor = f"{to.array([0])}, {_one(unit.multiplier)}"
        if isinstance(unit, units.ShiftGELU):
            rest = f"{unit.inverse_step}LL, {unit.shift}, {unit.sigmoid_bits}, 0, 0, 0"
            own = f"SHIFT_GELU, {{{rescale}}}, {factor}, {rest}"
        else:
            rest = f"0, 0, 0, {unit.vertex}LL, {unit.constant}LL, {unit.one}LL"
            own = f"I_GELU, {{{rescale}}}, {factor}, {rest}"
    return "activate", to.struct("activation_unit", "u", f"&{out}, {own}")


_FORMS: Final[dict[Any, Callable[[Any, Constants], tuple[str, str]]]] = {
    units.Rescale: _rescale,
    units.ResidualAdd: _residual_add,
    units.LayerNorm: _layer_norm,
    units.SoftmaxUnit: _softmax,
    units.TFLiteSoftmax: _tflite_softmax,
    (units.Activation, units.ShiftGELU, units.IGELU): _activation,
}
