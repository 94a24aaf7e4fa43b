"""Integer units in hardware: the options that name one, and the commands for it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ptqsim import rtl, units
from ptqsim.cli.framework.output import Output
from ptqsim.cli.framework.typed import typed
from ptqsim.cli.rtl.claims import decided, show_claims
from ptqsim.errors import unknown_name
from ptqsim.rtl.design import parts_of
from ptqsim.rtl.hardware.verilog import Module
from ptqsim.rtl.proofs.claim import SKIPPED
from ptqsim.rtl.proofs.integer_units import overflows, unit_claims
from ptqsim.rtl.units.standard import FORMULATIONS, standard_unit, stimulus
from ptqsim.units.errors_of_units.comparison import Setting
from ptqsim.units.protocol import Unit

UNIT_NAMES: Final = tuple(FORMULATIONS)
_LISTED: Final = "; ".join(f"{what}: {', '.join(names)}" for what, names in FORMULATIONS.items())

WhatArgument = Annotated[
    str | None, typer.Argument(help=f"An integer unit in place of a dot product: {', '.join(UNIT_NAMES)}.")
]
FormulationOption = Annotated[str | None, typer.Option("--formulation", help=f"Of an integer unit: {_LISTED}.")]
SettingOption = Annotated[
    str | None, typer.Option("--setting", help="Of an integer unit, as in ptqsim units: bits=8,length=64,acc_bits=12.")
]
UnitFileOption = Annotated[
    Path | None, typer.Option("--unit", help="JSON of an integer unit, as its to_dict() gives it, in place of both.")
]
DivisionOption = Annotated[
    str | None, typer.Option("--division", help="Of a softmax: exact, or reciprocal:R for a reciprocal of R bits.")
]
LanesOption = Annotated[int, typer.Option("--lanes", min=1, help="Elements of an integer unit per cycle.")]


def hardware_of(
    what: str,
    formulation: str | None,
    setting: str | None,
    unit_file: Path | None,
    division: str | None,
    lanes: int,
    multiplier: str,
    name: str,
    base: Setting | None = None,
) -> rtl.UnitHardware:
    """The hardware that the options describe."""
    unit: Unit
    given = _setting(setting, base)
    if unit_file is not None:
        if formulation is not None or setting is not None or division is not None:
            raise ValueError("--unit says all of the unit: leave --formulation, --setting and --division out")
        unit = _from_file(unit_file)
    else:
        try:
            unit = standard_unit(what, formulation, given, _division(division))
        except ValueError as error:
            if not str(error).startswith(tuple(given.names)):
                raise
            raise _of_setting(setting, error) from None
    length = None if unit.channels or unit.longest <= _LONGEST else given.length
    hardware = rtl.UnitHardware(unit, lanes, length, multiplier, name)
    if not (hardware.keeps_rows or hardware.counts_rows):
        given.read.discard("length")  # a stream without rows
    given.refuse_unread(what)
    return hardware


NARROW: Final = Setting(bits=5, shift=3, length=16, features=4, acc_bits=12, residual_bits=8, precision=8, entries=16)
"""Setting of proofs, in which every claim is decided within a minute."""
_LONGEST: Final = 1 << 14


PRODUCT: Final = (
    "bits", "overflow", "order", "alignment", "depth", "a_bits", "b_bits", "shift", "a_format", "b_format", "register",
    "runtime_shift", "a_unsigned", "a_zero_point", "b_unsigned", "b_zero_point", "zero_point", "columns", "requantize",
    "rounding", "multiplier_bits", "bias_bits", "pwlq", "cols", "pattern", "layer", "group", "data", "images", "column",
    "output",
)  # fmt: skip
"""Parameters that products have and integer units do not."""


def named_unit(given: Path | None) -> str | None:
    """The integer unit that an argument names; None where it names a file, or there is no argument.

    Raises
    ------
    ValueError
        For what is neither; it suggests the nearest name.
    """
    if given is None or given.suffix or given.exists():
        return None
    if str(given) not in UNIT_NAMES:
        raise unknown_name("file or integer unit", str(given), UNIT_NAMES)
    return str(given)


def refuse_product_options(context: typer.Context, but: Iterable[str] = ()) -> None:
    """Refuse options of products that were typed beside the name of an integer unit."""
    if given := typed(context, (name for name in PRODUCT if name not in but)):
        raise ValueError(
            f"an integer unit was named, and {', '.join(given)} belong to products: leave them out; --formulation, "
            "--setting, --division and --unit describe an integer unit"
        )


def generate_unit(out: Output, output: Path, hardware: rtl.UnitHardware) -> None:
    """Write the modules of an integer unit."""
    show_design(out, output, hardware.module(), {"hardware": hardware.to_dict()}, describe(hardware))


def show_design(
    out: Output,
    output: Path,
    module: Module,
    specification: dict[str, Any],
    title: str,
    beside: Iterable[str] = (),
) -> None:
    """Write a module and all that it needs, and list the files; `beside` are names of others that are there."""
    written = rtl.write([module], output, specification)
    rows = [
        (f"{part.name}.sv", len(part.render().splitlines()), " ".join(part.header.strip().split("\n\n")[0].split()))
        for part in parts_of([module])
    ]
    out.table(["file", "lines", "what it is"], rows, title=f"{output}: {title}")
    out.note(f"files.f lists them in the order to compile; top: {module.name}")
    out.result({"output": output, "files": [*(path.name for path in written), *beside], **specification})


def simulate_unit(out: Output, hardware: rtl.UnitHardware, rows: int, engine: str, seed: int) -> None:
    """Run rows through an integer unit and compare every code; exit status 1 at any difference."""
    inputs = stimulus(hardware, rows, seed)
    ran: list[rtl.UnitSimulation] = []
    absent: list[str] = []
    for name in rtl.ENGINES if engine == "all" else (engine,):
        try:
            ran.append(rtl.simulate_unit(hardware, *inputs, engine=name, seed=seed))
        except rtl.MissingToolError as error:
            if engine != "all":
                raise
            absent.append(str(error))
    found: list[dict[str, str | int | float]] = [
        {"engine": one.engine, "codes": one.wanted.size, "differ": one.differing,
         "build_seconds": round(one.build_seconds, 2), "run_seconds": round(one.run_seconds, 2)}
        for one in ran
    ]  # fmt: skip
    out.table(
        ["engine", "codes", "differ", "build_seconds", "run_seconds"],
        [tuple(row.values()) for row in found],
        title=describe(hardware),
    )
    for line in absent:
        out.note(f"not run: {line}")
    out.result({"hardware": hardware.to_dict(), "engines": found, "not_run": absent})
    if not ran or not all(one.equal for one in ran):
        raise typer.Exit(1)


def prove_unit(out: Output, hardware: rtl.UnitHardware, timeout: float) -> None:
    """Prove what vectors cannot show of an integer unit; exit status 1 unless every claim is decided as expected."""
    verdicts = decided(out, unit_claims(hardware), timeout)
    show_claims(out, verdicts, describe(hardware))
    shown = overflows(hardware)
    if shown:
        out.table(
            ["value", "bits", "inputs, replayed", "it is then"],
            [(one.name, one.bits, ", ".join(f"{n} = {v}" for n, v in one.inputs.items()), one.value) for one in shown],
            title="one bit less does not hold",
        )
    good = sum(one.as_expected for one in verdicts)
    skipped = sum(one.outcome == SKIPPED for one in verdicts)
    out.note(f"{good} of {len(verdicts)} claims decided as expected, {skipped} skipped")
    out.result(
        {
            "hardware": hardware.to_dict(),
            "claims": [
                {"name": one.claim.name, "statement": one.claim.statement, "true": one.claim.holds,
                 "outcome": one.outcome, "detail": one.detail, "seconds": one.seconds}
                for one in verdicts
            ],
            "overflows": [asdict(one) for one in shown],
        }
    )  # fmt: skip
    if good < len(verdicts):
        raise typer.Exit(1)


def describe(hardware: rtl.UnitHardware) -> str:
    """The unit in a line."""
    unit = hardware.unit
    inputs = ", ".join(f"{one.name} of {one.bits} bits" for one in unit.inputs)
    rows = f", rows of {hardware.row_length}" if hardware.keeps_rows or hardware.counts_rows else ""
    lanes = f", {hardware.lanes} lanes" if hardware.lanes > 1 else ""
    return f"{unit.kind}: {inputs}{rows}{lanes}, to {unit.out_format.short()}"


class _Given(Setting):
    """A setting that knows which of its fields were given, and which were read."""

    __slots__ = ("names", "read")
    names: set[str]
    read: set[str]

    @classmethod
    def of(cls, setting: Setting, names: Iterable[str]) -> _Given:
        made = cls(**asdict(setting))
        object.__setattr__(made, "names", set(names))
        object.__setattr__(made, "read", set())
        return made

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if name in _FIELDS and hasattr(self, "read"):
            object.__getattribute__(self, "read").add(name)
        return found

    def refuse_unread(self, what: str) -> None:
        """Refuse fields that were given and that a unit of this kind does not have."""
        if unread := self.names - self.read:
            raise ValueError(
                f"--setting gives {', '.join(sorted(unread))}, which this {what} does not have; legal are "
                f"{', '.join(name for name in _FIELDS if name in self.read)}"
            )


_FIELDS: Final = tuple(field.name for field in fields(Setting))


def _setting(text: str | None, base: Setting | None = None) -> _Given:
    """A setting from ``name=integer`` with commas."""
    changes: dict[str, Any] = {}
    for part in text.split(",") if text else ():
        name, _, value = part.partition("=")
        try:
            changes[name.strip()] = int(value)
        except ValueError:
            raise ValueError(f"--setting {text!r} can't be read at {part!r}; legal are integers: try bits=8") from None
        if name.strip() not in _FIELDS:
            raise ValueError(f"--setting knows no {name.strip()!r}; legal are {', '.join(_FIELDS)}")
    try:
        return _Given.of(replace(base or Setting(), **changes), changes)
    except ValueError as error:
        raise _of_setting(text, error) from None


def _of_setting(text: str | None, error: ValueError) -> ValueError:
    """The error of a value of ``--setting``, which names the option."""
    return ValueError(f"--setting {text}: {error}")


def _division(text: str | None) -> units.Division | None:
    if text is None:
        return None
    method, _, bits = text.partition(":")
    try:
        return units.Division(method, int(bits)) if bits else units.Division(method)
    except ValueError as error:
        raise ValueError(f"--division {text!r}: {error}; try exact or reciprocal:31") from None


def _from_file(path: Path) -> Unit:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"--unit {path} can't be read: {error.strerror}; give a file that holds a unit") from None
    except ValueError as error:
        raise ValueError(f"--unit {path} is no JSON: {error}; write json.dumps(unit.to_dict())") from None
    if not isinstance(data, dict):
        raise ValueError(f"--unit {path} holds no object; write json.dumps(unit.to_dict())")
    return units.from_dict(data)
