"""Options of the integer-only network: widths, and the formulation of every unit."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ptqsim import units
from ptqsim.common.choice import Choice
from ptqsim.common.validation import checked_integer, checked_scale
from ptqsim.errors import ArgumentTypeError, unknown_name
from ptqsim.formats.uniform import Uniform

SOFTMAXES: Final[dict[str, Any]] = {
    kind.kind: kind
    for kind in (units.Softmax, units.Shiftmax, units.IExpSoftmax, units.ITASoftmax, units.TFLiteSoftmax)
}
GELUS: Final[dict[str, Any]] = {kind.kind: kind for kind in (units.GELU, units.ShiftGELU, units.IGELU)}

_GIVEN: Final = {
    "score_scale", "out_format", "length", "in_scale", "index_format", "bias", "acc_bits", "gamma", "beta", "eps",
    "features", "x_bits", "score_bits",
}  # fmt: skip
"""Parameters of `from_real` that follow from the network."""

Given = str | Mapping[str, Any] | None


class ResidualScale(Choice):
    """Scale of the residual stream.

    ``free``: its own at every addition, from the greatest magnitude that calibration sees there.
    ``power_of_two``: the same, rounded up to a power of two.
    ``one``: one for the whole network.
    """

    FREE = "free"
    POWER_OF_TWO = "power_of_two"
    ONE = "one"


@dataclass(frozen=True)
class UnitOptions:
    """A formulation of a unit by name, and options of its ``from_real``."""

    kind: str
    options: Mapping[str, Any] = field(hash=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"kind": self.kind} | {name: _plain(value) for name, value in self.options.items()}


@dataclass(frozen=True)
class IntegerOnly:
    """Options of an integer-only network.

    Attributes
    ----------
    residual_bits : int
        Width of the residual stream, 4 to 16.
    residual_scale : ResidualScale or float
        See `ResidualScale`; a number is the scale of every residual, and refused where it does not reach.
    softmax : str or mapping
        Formulation by the name that ``ptqsim units`` has for it, or a mapping of ``kind`` and options of its
        ``from_real``. ``score_bits`` requantizes scores to that width first; they come from the accumulator otherwise.
    gelu : str or mapping
        The same for GELU: ``gelu`` is a table, ``shift_gelu``, ``i_gelu``. ``bits`` is the width of the pre-activation.
    layer_norm : mapping
        Options of `ptqsim.units.LayerNorm.from_real`: ``precision``, ``fraction``, ``gain_bits``, ``root``.
    multiplier_bits : int
        Significant bits of multipliers between products, 4 to 31.

    Raises
    ------
    TypeError
        If an option has the wrong type.
    ValueError
        If an option is out of its range or unknown.
    """

    residual_bits: int = 16
    residual_scale: ResidualScale | float = ResidualScale.FREE
    softmax: UnitOptions = UnitOptions("softmax", {})
    gelu: UnitOptions = UnitOptions("gelu", {})
    layer_norm: UnitOptions = UnitOptions("layer_norm", {})
    multiplier_bits: int = 16

    @classmethod
    def of(
        cls,
        residual_bits: int = 16,
        softmax: Given = None,
        gelu: Given = None,
        layer_norm: Given = None,
        residual_scale: str | float = "free",
        multiplier_bits: int = 16,
    ) -> IntegerOnly:
        """The options as a caller gives them."""
        return cls(
            checked_integer("residual_bits", residual_bits, 4, 16, "try 16, or 8 for a narrow stream"),
            _scale(residual_scale),
            _unit("softmax", softmax, SOFTMAXES, ("score_bits",)),
            _unit("gelu", gelu, GELUS, ("bits",)),
            _unit("layer_norm", layer_norm, {"layer_norm": units.LayerNorm}),
            checked_integer("multiplier_bits", multiplier_bits, 4, 31, "try 16"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        scale = self.residual_scale
        return {
            "residual_bits": self.residual_bits,
            "residual_scale": str(scale) if isinstance(scale, ResidualScale) else scale,
            "softmax": self.softmax.to_dict(),
            "gelu": self.gelu.to_dict(),
            "layer_norm": self.layer_norm.to_dict(),
            "multiplier_bits": self.multiplier_bits,
        }


def _scale(given: str | float) -> ResidualScale | float:
    if not isinstance(given, str):
        return checked_scale(given, "residual_scale")
    if given not in list(ResidualScale):
        raise ValueError(
            f"residual_scale is {given!r}; legal are {', '.join(map(repr, ResidualScale))}, and a positive number, the "
            "scale of every residual: try 'free' or 0.01"
        )
    return ResidualScale.of(given)


def _unit(what: str, given: Given, kinds: Mapping[str, Any], further: tuple[str, ...] = ()) -> UnitOptions:
    first = next(iter(kinds))
    if given is None:
        return UnitOptions(first, {})
    if isinstance(given, str):
        given = {"kind": given}
    if not isinstance(given, Mapping):
        raise ArgumentTypeError(
            f"{what} is {given!r}; legal is the name of a formulation, or a mapping such as {{'kind': {first!r}}}"
        )
    options = dict(given)
    kind = options.pop("kind", first)
    if kind not in kinds:
        raise unknown_name(f"formulation of {what}", kind, kinds)
    legal = (set(inspect.signature(kinds[kind].from_real).parameters) - _GIVEN) | set(further)
    for name in options:
        if name not in legal:
            raise unknown_name(f"option of {kind}", name, sorted(legal))
    division = options.get("division")
    if isinstance(division, str):
        options["division"] = units.Division(division)
    if "score_bits" in options:
        options["score_bits"] = checked_integer("score_bits", options["score_bits"], 4, 16, "try 8")
    if "bits" in options:
        options["bits"] = checked_integer("bits of the pre-activation", options["bits"], 2, 12, "try 8")
    _try(kinds[kind], options)
    return UnitOptions(kind, options)


_EASY: Final = {
    "score_scale": 0.5, "out_format": Uniform(4, 0.125), "length": 2, "in_scale": 0.125, "gamma": 0.01, "beta": 0.0,
    "index_format": Uniform(4, 0.5), "eps": 1e-6, "features": 2, "x_bits": 4, "score_bits": 4,
}  # fmt: skip
"""Parameters of the easiest of networks, with few values and short rows: options that fail here fail everywhere."""


def _try(kind: Any, options: Mapping[str, Any]) -> None:
    """Refuse options that no network could have, in the words of the unit."""
    legal = inspect.signature(kind.from_real).parameters
    kind.from_real(**{name: value for name, value in (_EASY | dict(options)).items() if name in legal})


def _plain(value: Any) -> Any:
    return {"method": str(value.method), "bits": value.bits} if isinstance(value, units.Division) else value
