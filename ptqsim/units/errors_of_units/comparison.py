"""Every formulation on one setting: its widths, and its distance from the real function in output codes.

Where the inputs of a unit are few enough, every one is taken; elsewhere rows are drawn, always the same ones, with
standard deviations over all magnitudes that the inputs can have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ptqsim.common.validation import checked_integer
from ptqsim.formats.base import NumberFormat
from ptqsim.formats.twin import TwinGELU, TwinSoftmax
from ptqsim.formats.uniform import Uniform
from ptqsim.units.activation_units.activation import GELU, Activation, QuickGELU, ReLU, SiLU
from ptqsim.units.activation_units.i_gelu import IGELU
from ptqsim.units.activation_units.shift_gelu import ShiftGELU
from ptqsim.units.errors_of_units.accuracy import steps
from ptqsim.units.layer_norm import LayerNorm
from ptqsim.units.protocol import Unit
from ptqsim.units.rescale import Rescale
from ptqsim.units.residual_add import ResidualAdd
from ptqsim.units.softmax_units.i_exp_softmax import IExpSoftmax
from ptqsim.units.softmax_units.ita_softmax import ITASoftmax
from ptqsim.units.softmax_units.running_softmax import RunningSoftmax
from ptqsim.units.softmax_units.shiftmax import Shiftmax
from ptqsim.units.softmax_units.softmax import Softmax
from ptqsim.units.softmax_units.tflite_softmax import TFLiteSoftmax

_ROWS: Final = 400
_PRE_ACTIVATIONS, _SCORES, _STREAM = 8.0, 15.0, 32.0  # largest magnitudes

_FUNCTIONS: dict[type[Unit], Callable[[Any], Any]] = {
    GELU: lambda x: x * special.ndtr(x),
    IGELU: lambda x: x * special.ndtr(x),
    ShiftGELU: lambda x: x * special.ndtr(x),
    SiLU: lambda x: x * special.expit(x),
    QuickGELU: lambda x: x * special.expit(1.702 * x),
    ReLU: lambda x: np.maximum(x, 0.0),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting for all units.

    Parameters
    ----------
    bits : int, optional
        Width of the output codes, 3 to 10.
    shift : int, optional
        Alignment exponent of TwinSoftmax, 0 to 16.
    length : int, optional
        Scores of a row of softmax, 2 to 1024.
    features : int, optional
        Length of a row of LayerNorm, 2 to 4096.
    acc_bits : int, optional
        Signed bits of accumulators, 12 to 20.
    residual_bits : int, optional
        Bits of the residual stream, 8 to 16.
    precision : int, optional
        Bits of LayerNorm's root, 4 to 28.
    entries, table_bits : int, optional
        Table of softmax.
    seed : int, optional
        Seed of the rows that are drawn.
    """

    bits: int = 8
    shift: int = 6
    length: int = 197
    features: int = 192
    acc_bits: int = 18
    residual_bits: int = 16
    precision: int = 16
    entries: int = 64
    table_bits: int = 15
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {
            "bits": (3, 10), "shift": (0, 16), "length": (2, 1024), "features": (2, 4096), "acc_bits": (12, 20),
            "residual_bits": (8, 16),
        }  # fmt: skip
        for name, (lowest, highest) in limits.items():
            checked_integer(name, getattr(self, name), lowest, highest)


@dataclass(frozen=True, slots=True)
class Measured:
    """A unit and its distance from the real function.

    Parameters
    ----------
    unit : Unit
        The unit.
    greatest : int
        Greatest distance, in values of the output format.
    differing : float
        Share of outputs with another code than the real function's.
    inputs : int
        Number of rows, or of accumulators, that were taken.
    exhaustive : bool
        True if these are all that there are.
    """

    unit: Unit
    greatest: int
    differing: float
    inputs: int
    exhaustive: bool


def compare(setting: Setting) -> list[Measured]:
    """Every formulation, with its greatest error in that setting."""
    return [
        _rescale(setting),
        _residual_add(setting),
        _layer_norm(setting),
        *_softmaxes(setting),
        *_activations(setting),
    ]


def _measured(unit: Unit, codes: NDArray[Any], real: NDArray[Any], inputs: int, exhaustive: bool) -> Measured:
    found = steps(unit.out_format, codes, unit.out_format.encode(real))
    return Measured(unit, int(np.abs(found).max()), float(np.mean(found != 0)), inputs, exhaustive)


def _rows(rng: np.random.Generator, length: int, bits: int) -> NDArray[np.int64]:
    """Rows of integers with standard deviations of all magnitudes, and a mean of their own."""
    deviation = 2.0 ** rng.uniform(2, bits - 2, (_ROWS, 1))
    values = np.rint(rng.normal(0, deviation, (_ROWS, length)) + rng.normal(0, deviation))
    return values.clip(-(1 << (bits - 1)), (1 << (bits - 1)) - 1).astype(np.int64)


def _every(bits: int) -> NDArray[np.int64]:
    return np.arange(-(1 << (bits - 1)), 1 << (bits - 1))


def _rescale(setting: Setting) -> Measured:
    acc, scale = _every(setting.acc_bits), _PRE_ACTIVATIONS / (1 << (setting.acc_bits - 1))
    unit = Rescale.from_real(scale, _uniform(setting.bits), acc_bits=setting.acc_bits)
    return _measured(unit, unit(acc), acc * scale, acc.size, True)


def _residual_add(setting: Setting) -> Measured:
    rng = np.random.default_rng(setting.seed)
    bits, scale = setting.residual_bits, _PRE_ACTIVATIONS / (1 << (setting.acc_bits - 1))
    stream = Uniform(bits, _STREAM / (1 << (bits - 1)))
    unit = ResidualAdd.from_real(stream.scale, scale, stream, x_bits=bits, acc_bits=setting.acc_bits)
    x, acc = _rows(rng, setting.features, bits), _rows(rng, setting.features, setting.acc_bits)
    return _measured(unit, unit(x, acc), x * stream.scale + acc * scale, len(x), False)


def _layer_norm(setting: Setting) -> Measured:
    rng, n, bits = np.random.default_rng(setting.seed), setting.features, setting.residual_bits
    x, scale = _rows(rng, n, bits), _STREAM / (1 << (bits - 1))
    gamma, beta = rng.normal(1, 0.25, n), rng.normal(0, 0.25, n)
    unit = LayerNorm.from_real(
        gamma, beta, 1e-6, scale, _uniform(setting.bits, 4.0), x_bits=bits, precision=setting.precision
    )
    centered = (x - x.mean(-1, keepdims=True)) * scale
    real = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-6) * gamma + beta
    return _measured(unit, unit(x), real, len(x), False)


def _softmaxes(setting: Setting) -> list[Measured]:
    out, bits, length = TwinSoftmax(setting.bits, setting.shift), setting.acc_bits, setting.length
    scale = _SCORES / (1 << (bits - 1))
    made: list[tuple[Unit, float, int]] = [
        (Softmax.from_real(scale, out, length, bits, setting.entries, setting.table_bits), scale, bits),
        (RunningSoftmax.from_real(scale, out, length, bits, setting.entries, setting.table_bits), scale, bits),
        (Shiftmax.from_real(scale, out, length, bits), scale, bits),
        (IExpSoftmax.from_real(scale, out, length, bits), scale, bits),
        (ITASoftmax.from_real(scale, out, length, bits), scale, bits),
        (TFLiteSoftmax.from_real(_SCORES / 128, out, length), _SCORES / 128, 8),
    ]
    measured = []
    for unit, unit_scale, score_bits in made:
        scores = _rows(np.random.default_rng(setting.seed), length, score_bits)
        powers = np.exp((scores - scores.max(-1, keepdims=True)) * unit_scale)
        measured.append(_measured(unit, unit(scores), powers / powers.sum(-1, keepdims=True), len(scores), False))
    return measured


def _activations(setting: Setting) -> list[Measured]:
    scale = _PRE_ACTIVATIONS / (1 << (setting.acc_bits - 1))
    index, made = _uniform(setting.bits), []
    out: NumberFormat = TwinGELU.covering(setting.bits, index.scale)
    acc = _every(setting.acc_bits).reshape(-1, 64)
    shuffled = np.random.default_rng(setting.seed).permutation(acc.ravel()).reshape(acc.shape)
    for kind in (GELU, SiLU, QuickGELU, ReLU):
        activation: type[Activation] = kind
        made.append((activation.from_real(scale, index, out, acc_bits=setting.acc_bits), acc))
    others: list[tuple[Unit, NDArray[np.int64]]] = [
        # Its result depends on the greatest value of a row, so that rows are drawn.
        (ShiftGELU.from_real(scale, index, out, acc_bits=setting.acc_bits), shuffled),
        (IGELU.from_real(scale, index, out, acc_bits=setting.acc_bits), acc),
    ]
    return [
        _measured(unit, unit(given), _FUNCTIONS[type(unit)](given * scale), given.size, given is acc)
        for unit, given in (*made, *others)
    ]


def _uniform(bits: int, largest: float = _PRE_ACTIVATIONS) -> Uniform:
    return Uniform(bits, largest / ((1 << (bits - 1)) - 1))
