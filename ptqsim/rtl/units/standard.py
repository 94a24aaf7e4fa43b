"""Units by the name of what they compute and of their formulation, on the settings of ``ptqsim units``."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ptqsim import units
from ptqsim.errors import unknown_name
from ptqsim.formats.twin import TwinGELU, TwinSoftmax
from ptqsim.formats.uniform import Uniform
from ptqsim.rtl.units.hardware import UnitHardware
from ptqsim.units.errors_of_units.comparison import Setting
from ptqsim.units.protocol import Unit

FORMULATIONS: Final = {
    "softmax": ("table", "shiftmax", "i_exp", "ita"),
    "layernorm": ("newton", "bits"),
    "gelu": ("table", "shift_gelu", "i_gelu"),
    "residual": ("tensor", "channel"),
    "rescale": ("tensor", "channel"),
}
"""Formulations of every unit, the default first."""

_LARGEST: Final = {"acc": 8.0, "score": 15.0, "stream": 32.0, "normalized": 4.0}
"""Largest real magnitudes, as in ``ptqsim units``."""


def standard_unit(
    what: str, formulation: str | None = None, setting: Setting | None = None, division: units.Division | None = None
) -> Unit:
    """A unit in one setting.

    Parameters
    ----------
    what : str
        A key of `FORMULATIONS`.
    formulation : str, optional
        One of its values; by default the first.
    setting : Setting, optional
        Widths and lengths.
    division : Division, optional
        Of a softmax; by default exact.

    Raises
    ------
    ValueError
        If there is no such unit or formulation.
    """
    if what not in FORMULATIONS:
        raise unknown_name("unit", what, FORMULATIONS)
    chosen = FORMULATIONS[what][0] if formulation is None else formulation
    if chosen not in FORMULATIONS[what]:
        raise unknown_name(f"formulation of {what}", chosen, FORMULATIONS[what])
    given = setting or Setting()
    if what == "softmax":
        return _softmax(chosen, given, division or units.Division())
    if division is not None:
        raise ValueError(f"a {what} divides by no sum: leave the division out")
    if what == "gelu":
        return _gelu(chosen, given)
    if what == "layernorm":
        return _layer_norm(chosen, given)
    return _elementwise(what, given, given.features if chosen == "channel" else None)


def _grid(largest: float, bits: int) -> float:
    """The step with which signed integers of some bits reach a magnitude."""
    return largest / (1 << (bits - 1))


def _softmax(formulation: str, setting: Setting, division: units.Division) -> Unit:
    out, bits, length = TwinSoftmax(setting.bits, setting.shift), setting.acc_bits, setting.length
    scale = _grid(_LARGEST["score"], bits)
    if formulation == "table":
        entries, table_bits = setting.entries, setting.table_bits
        return units.Softmax.from_real(scale, out, length, bits, entries, table_bits, division=division)
    if formulation == "shiftmax":
        return units.Shiftmax.from_real(scale, out, length, bits, division=division)
    if formulation == "i_exp":
        return units.IExpSoftmax.from_real(scale, out, length, bits, division)
    return units.ITASoftmax.from_real(scale, out, length, bits, division=division)


def _gelu(formulation: str, setting: Setting) -> Unit:
    scale, index = _grid(_LARGEST["acc"], setting.acc_bits), _uniform(setting.bits, _LARGEST["acc"])
    out = TwinGELU.covering(setting.bits, index.scale)
    if formulation == "table":
        return units.GELU.from_real(scale, index, out, acc_bits=setting.acc_bits)
    kind = units.ShiftGELU if formulation == "shift_gelu" else units.IGELU
    return kind.from_real(scale, index, out, acc_bits=setting.acc_bits)


def _layer_norm(root: str, setting: Setting) -> Unit:
    rng, n = np.random.default_rng(setting.seed), setting.features
    return units.LayerNorm.from_real(
        rng.normal(1, 0.25, n), rng.normal(0, 0.25, n), 1e-6, _grid(_LARGEST["stream"], setting.residual_bits),
        _uniform(setting.bits, _LARGEST["normalized"]), x_bits=setting.residual_bits, precision=setting.precision,
        root=root,
    )  # fmt: skip


def _elementwise(what: str, setting: Setting, channels: int | None) -> Unit:
    rng, base = np.random.default_rng(setting.seed), _grid(_LARGEST["acc"], setting.acc_bits)
    scale: float | NDArray[np.float64] = base
    bias: float | NDArray[np.float64] = 0.0
    if channels is not None:
        scale, bias = base * rng.uniform(0.25, 1.0, channels), rng.normal(0, 0.25, channels)
    if what == "rescale":
        return units.Rescale.from_real(scale, _uniform(setting.bits, _LARGEST["acc"]), bias, setting.acc_bits)
    stream = Uniform(setting.residual_bits, _grid(_LARGEST["stream"], setting.residual_bits))
    return units.ResidualAdd.from_real(
        stream.scale, scale, stream, bias, setting.residual_bits, setting.acc_bits
    )  # fmt: skip


def _uniform(bits: int, largest: float) -> Uniform:
    return Uniform(bits, largest / ((1 << (bits - 1)) - 1))


def stimulus(hardware: UnitHardware, rows: int, seed: int = 0) -> list[NDArray[np.int64]]:
    """Rows [R, n] of every input: of all magnitudes, then the adversarial ones.

    These are constant at both ends of the range and at zero, half at one end, with one value far from the others,
    rising by one, and slightly negative.
    """
    unit, rng = hardware.unit, np.random.default_rng(seed)
    n, found = min(hardware.row_length, 1 << 10), []
    for one in unit.inputs:
        low, high = -(1 << (one.bits - 1)), (1 << (one.bits - 1)) - 1
        width = 2.0 ** rng.uniform(0, one.bits, (rows, 1))
        values = np.clip(np.rint(rng.normal(0, width, (rows, n)) + rng.normal(0, width)), low, high).astype(np.int64)
        place = np.arange(n)
        special = [
            np.full(n, low), np.full(n, high), np.zeros(n, np.int64), np.where(place < n // 2, low, high),
            np.where(place == 0, high, low), np.where(place == n - 1, low, high), np.clip(place, low, high),
            np.full(n, low // 8),
        ]  # fmt: skip
        for row, given in zip(reversed(range(rows)), special, strict=False):
            values[row] = given
        found.append(values)
    return found
