"""A point of a study: a network, how it is calibrated, the datapath it runs on, and the images that say how well.

What cannot change a result is left out of a point, so that equal work is one point: a float network has no method, an
exact accumulator no overflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any, Final

INTEGER: Final = "integer"
INTEGER_ONLY: Final = "integer_only"
FLOAT: Final = "float"
UNITS: Final = ("residual_bits", "residual_scale", "softmax", "gelu", "layer_norm")
"""Settings of an integer-only network."""
FREE: Final = "free"
"""The rule of a residual's scales by default."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Input of one calibration, which points on many datapaths share.

    Attributes
    ----------
    model, method : str
        What the study calls them.
    w_bits, a_bits, seed, images : int
    w_granularity : {"tensor", "channel"}
    a_symmetric : bool
    formats : str
        Formats by name as ``kind=name``, separated by commas; ``method`` for the method's.
    residual_bits : int or None
        Width of the residual of the integer-only network; None where none is made.
    residual_scale : {"free", "power_of_two", "one"} or None
        Rule of its scales.
    softmax, gelu, layer_norm : str or None
        Its units, as ``kind,option=value,...``.
    """

    model: str
    method: str
    w_bits: int
    a_bits: int
    seed: int
    images: int
    w_granularity: str = "tensor"
    a_symmetric: bool = True
    formats: str = "method"
    residual_bits: int | None = None
    residual_scale: str | None = None
    softmax: str | None = None
    gelu: str | None = None
    layer_norm: str | None = None

    @property
    def base(self) -> Calibration:
        """The calibration without its integer-only network."""
        return replace(self, residual_bits=None, residual_scale=None, softmax=None, gelu=None, layer_norm=None)


@dataclass(frozen=True, slots=True)
class Datapath:
    """The datapath of a point in integer or integer-only mode.

    Attributes
    ----------
    mode : {"integer", "integer_only", "fake_quant", "float"}
    acc_bits : int or None
        Width P of the accumulators; None is exact.
    overflow, order, alignment : str or None
        None where they play no part.
    softmax_shift, gelu_shift : int or None
        In place of the m that the search found.
    layer : str or None
        The only layer that has ``acc_bits``; all others are exact.
    widths : tuple of (str, int)
        A width for each of these layers, in place of ``acc_bits``.
    """

    mode: str = INTEGER
    acc_bits: int | None = None
    overflow: str | None = None
    order: str | None = None
    alignment: str | None = None
    softmax_shift: int | None = None
    gelu_shift: int | None = None
    layer: str | None = None
    widths: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """One row of the results.

    Attributes
    ----------
    model : str
    calibration : Calibration or None
        None is the float network.
    datapath : Datapath
    images : int
        Evaluation images: the first ones of the validation split.
    """

    model: str
    calibration: Calibration | None
    datapath: Datapath
    images: int


def plain(value: Calibration | Datapath) -> dict[str, Any]:
    """The fields as JSON values."""
    found = asdict(value)
    if "widths" in found:
        found["widths"] = dict(found["widths"])
    return found


def identity(calibration: Calibration) -> dict[str, Any]:
    """The fields that the key of a calibration is made of.

    Those that came later are left out where they have their defaults, so that keys stay what they were.
    """
    later: dict[str, tuple[object, ...]] = {
        field.name: (field.default,) for field in fields(calibration) if field.default is not MISSING
    }
    later |= {"residual_scale": (None, FREE)}
    return {name: value for name, value in plain(calibration).items() if value not in later.get(name, ())}


def columns_of(calibration: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of results that hold the fields of a calibration."""
    return {"calibration_images" if name == "images" else name: value for name, value in calibration.items()}


def point_of_row(row: Mapping[str, Any]) -> Point:
    """The point of a stored row."""
    columns = ("model", "method", "w_bits", "a_bits", "seed", "calibration_images")
    calibration = None
    if row["calibration"] is not None:
        # Stores that were written before there was a choice have nothing there.
        values: list[Any] = [row[name] for name in columns]
        values += [row.get("w_granularity") or "tensor", row.get("a_symmetric") in (None, 1)]
        values += [row.get("formats") or "method"]
        units: dict[str, Any] = {name: row.get(name) for name in UNITS}
        if units["residual_bits"] is not None:
            units["residual_scale"] = units["residual_scale"] or FREE
        calibration = Calibration(*values, **units)
    widths = tuple((row["widths"] or {}).items())
    datapath = Datapath(**{f.name: row[f.name] for f in fields(Datapath) if f.name != "widths"}, widths=widths)
    return Point(row["model"], calibration, datapath, row["evaluation_images"])
