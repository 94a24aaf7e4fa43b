"""Units by the name under which files know them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ptqsim.errors import unknown_name
from ptqsim.formats import from_dict as format_from_dict
from ptqsim.units.activation_units.activation import GELU, QuickGELU, ReLU, SiLU
from ptqsim.units.activation_units.i_gelu import IGELU
from ptqsim.units.activation_units.shift_gelu import ShiftGELU
from ptqsim.units.constants import Multiplier
from ptqsim.units.layer_norm import LayerNorm
from ptqsim.units.protocol import Unit
from ptqsim.units.rescale import Rescale
from ptqsim.units.residual_add import ResidualAdd
from ptqsim.units.softmax_units.i_exp_softmax import IExpSoftmax
from ptqsim.units.softmax_units.ita_softmax import ITASoftmax
from ptqsim.units.softmax_units.running_softmax import RunningSoftmax
from ptqsim.units.softmax_units.shiftmax import Shiftmax
from ptqsim.units.softmax_units.softmax import Softmax
from ptqsim.units.softmax_units.softmax_unit import Division
from ptqsim.units.softmax_units.tflite_softmax import TFLiteSoftmax

UNITS: dict[str, type[Unit]] = {
    unit.kind: unit
    for unit in (
        Rescale,
        ResidualAdd,
        LayerNorm,
        Softmax,
        RunningSoftmax,
        Shiftmax,
        IExpSoftmax,
        ITASoftmax,
        TFLiteSoftmax,
        GELU,
        SiLU,
        QuickGELU,
        ReLU,
        ShiftGELU,
        IGELU,
    )
}
"""Every formulation by its `kind`."""

_PARTS: dict[str, Callable[[Any], Any]] = {
    "out_format": format_from_dict,
    "multiplier": lambda data: Multiplier(**data) if isinstance(data, Mapping) else data,
    "division": lambda data: Division(**data),
    "rescale": lambda data: from_dict(data),
}


def from_dict(data: Mapping[str, Any]) -> Unit:
    """The unit that `Unit.to_dict` wrote.

    Parameters
    ----------
    data : mapping
        Its kind and its fields.

    Raises
    ------
    ValueError
        If the kind is unknown, a field is missing or unknown, or a value is out of range.
    """
    fields = dict(data)
    kind = fields.pop("kind", None)
    try:
        if kind not in UNITS:
            raise unknown_name("unit", kind, UNITS)
        return UNITS[kind](**{name: _PARTS[name](value) if name in _PARTS else value for name, value in fields.items()})
    except TypeError as error:
        raise ValueError(f"cannot make a unit of kind {kind!r} from the fields {sorted(fields)}: {error}") from None
