"""Proofs about a unit, or about one output channel of a calibrated layer."""

from __future__ import annotations

from typing import Annotated

import typer

from ptqsim.cli.framework.options import (
    AlignmentOption,
    AUnsignedOption,
    AZeroPointOption,
    BUnsignedOption,
    BZeroPointOption,
    OrderOption,
    OverflowOption,
    ZeroPointOption,
)
from ptqsim.cli.framework.output import JsonOption, Output
from ptqsim.cli.network.layer_codes import GroupOption, LayerArgument, LayerOption, refuse
from ptqsim.cli.rtl.claims import conclude, decided, show_claims
from ptqsim.cli.rtl.integer_unit import (
    NARROW,
    DivisionOption,
    FormulationOption,
    SettingOption,
    UnitFileOption,
    hardware_of,
    named_unit,
    prove_unit,
    refuse_product_options,
)
from ptqsim.cli.rtl.prove_column import prove_column
from ptqsim.cli.rtl.unit import (
    MOST_SECONDS,
    ABitsOption,
    AFormatOption,
    BBitsOption,
    BFormatOption,
    DepthOption,
    ShiftOption,
    ZeroPoints,
    describe,
    make_unit,
)
from ptqsim.rtl.proofs.arithmetic import arithmetic_claims
from ptqsim.rtl.proofs.circuits import circuit_claims
from ptqsim.rtl.proofs.replay import (
    correction_saturates_otherwise,
    deferred_saturates_otherwise,
    narrower_than_the_bound,
)


def prove(
    context: typer.Context,
    calibrated: LayerArgument = None,
    bits: Annotated[
        int | None, typer.Option("--bits", help="Accumulator width P; 14, or of a layer what its weights fit.")
    ] = None,
    overflow: OverflowOption = "wrap",
    order: OrderOption = "sequential",
    alignment: AlignmentOption = "product",
    depth: DepthOption = 64,
    a_bits: ABitsOption = 5,
    b_bits: BBitsOption = None,
    shift: ShiftOption = None,
    a_format: AFormatOption = None,
    b_format: BFormatOption = None,
    a_unsigned: AUnsignedOption = False,
    a_zero_point: AZeroPointOption = 0,
    b_unsigned: BUnsignedOption = False,
    b_zero_point: BZeroPointOption = 0,
    zero_point: ZeroPointOption = None,
    layer: LayerOption = None,
    group: GroupOption = 0,
    column: Annotated[
        int | None, typer.Option("--column", min=0, help="Output channel; by default the one that needs most bits.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=1, max=MOST_SECONDS, help="Seconds per claim.")] = 600.0,
    formulation: FormulationOption = None,
    setting: SettingOption = None,
    unit_file: UnitFileOption = None,
    division: DivisionOption = None,
    circuits: Annotated[bool, typer.Option("--circuits/--no-circuits", help="Also the claims about the RTL.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Prove what vectors cannot show, and refute what is false, so that each proof is seen to have teeth.

    z3 decides the arithmetic, the SAT solver of Yosys the circuits. Exit status 1 if a true claim was not proven or a
    false one not refuted; a claim that was skipped, as its tool is missing, is listed as that and is no pass either.

    With the name of an integer unit, as in *ptqsim rtl prove gelu*, the claims are about that unit.

    Of a calibrated file, one output channel of a layer: with its weights as constants no input overflows a register,
    and with one bit less one does. The accumulator is the one that the weights were fitted to, or else as narrow as
    the channel allows:

        ptqsim rtl prove fitted.safetensors --layer blocks.0.mlp.fc1
    """
    out = Output(as_json)
    what = named_unit(calibrated)
    if what is not None or unit_file is not None:
        refuse_product_options(context)
        hardware = hardware_of(
            what or "unit", formulation, setting, unit_file, division, 1, "behavioral", "ptqsim", NARROW
        )
        prove_unit(out, hardware, timeout)
        return
    refuse({"--formulation": formulation, "--setting": setting, "--division": division}, "no integer unit was named")
    if calibrated is not None:
        given = {"--overflow": overflow, "--order": order, "--alignment": alignment, "--depth": depth,
                 "--a-bits": a_bits, "--b-bits": b_bits, "--shift": shift, "--a-format": a_format,
                 "--a-unsigned": a_unsigned, "--a-zero-point": a_zero_point, "--b-unsigned": b_unsigned,
                 "--b-zero-point": b_zero_point, "--zero-point": zero_point, "--b-format": b_format}  # fmt: skip
        kept = dict(zip(given, ("wrap", "sequential", "product", 64, 5), strict=False))
        others = {name: value for name, value in given.items() if value and value != kept.get(name)}
        refuse(others, f"{calibrated} says what its codes and its accumulator are")
        prove_column(out, calibrated, layer, group, column, bits, timeout)
        return
    refuse({"--layer": layer, "--group": group or None, "--column": column}, "no calibrated model was given")
    bits = 14 if bits is None else bits
    points = ZeroPoints(a_unsigned, a_zero_point, b_unsigned, b_zero_point, zero_point)
    unit = make_unit(
        bits, overflow, order, alignment, depth, a_bits, b_bits, shift, a_format, zero_points=points, b_format=b_format
    )
    claims = arithmetic_claims(unit.a, unit.b, unit.accumulator, depth) + (circuit_claims(unit) if circuits else [])
    verdicts = decided(out, claims, timeout)
    show_claims(out, verdicts, describe(unit))
    shown = [narrower_than_the_bound(unit.a, unit.b, depth)]
    if unit.twins:
        # A register of the width of one term is full after two of them.
        shown.append(deferred_saturates_otherwise(unit.a, unit.b, min(bits, unit.product.bits + unit.a.shift)))
    if unit.corrects:
        shown.append(correction_saturates_otherwise(unit.a, unit.b, min(bits, unit.product.bits)))
    conclude(out, {"unit": unit.to_dict()}, verdicts, shown)
