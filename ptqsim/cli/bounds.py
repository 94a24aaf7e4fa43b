"""Safe accumulator widths, and the bounds that prove them.

From plain numbers: the formats of both operands and the number of products per output, for instance

    ptqsim bounds --bits 8 --shift 8 --depth 1536

or for every layer of a calibrated model: *ptqsim bounds FILE*. The calibrated bound, an observation, is then taken on
*--images* images of *--data*. *ptqsim figures
simulator.safe_width -O calibrated=FILE* draws them.

The left operand is twin_gelu where *--shift* is given, else uniform; the right one is uniform. With *--a-format
twin_softmax* the left operand's rows are those of a softmax, which sum to 1: that gives a tighter bound. Both can be
small floats, for instance with *--a-format e4m3 --b-format e2m1*; these names say the width of their codes. Blocks go
into a fixed-point register whose least bit has a weight; *--a-scale* and *--b-scale* say the largest scales:

    ptqsim bounds --a-format mxfp8 --b-format mxfp4 --depth 768 --weight -16

Unsigned activations with a zero point, times weights:

    ptqsim bounds --a-unsigned --a-zero-point 113 --depth 384

With the name of a deployed arithmetic (see *ptqsim profiles*), also which of its registers these formats can overflow:

    ptqsim bounds --a-unsigned --depth 384 --profile AVX2_U8S8
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import ptqsim as pq
from ptqsim.cli.blocks import (
    BLOCKS,
    AScaleOption,
    BScaleOption,
    RoundingOption,
    WeightOption,
    block_formats,
    fixed_point,
    is_block,
    padded,
    refuse_block_options,
)
from ptqsim.cli.framework import places
from ptqsim.cli.framework.options import (
    AUnsignedOption,
    AZeroPointOption,
    BUnsignedOption,
    BZeroPointOption,
    DataOption,
    ProfileOption,
    ZeroPointOption,
    make_profile,
)
from ptqsim.cli.framework.output import JsonOption, Output
from ptqsim.cli.network.layer_bounds import layer_bounds
from ptqsim.cli.number_formats import (
    DEFAULT_BITS,
    LEFT_FORMATS,
    RIGHT_FORMATS,
    called,
    make_format,
    make_right_format,
)
from ptqsim.datapath.order import MAX_REGISTER_BITS


def bounds(
    calibrated: Annotated[
        Path | None, typer.Argument(parser=places.path, help="What ptqsim calibrate -o wrote.")
    ] = None,
    depth: Annotated[int | None, typer.Option("--depth", help="Products per output, K.")] = None,
    bits: Annotated[
        int | None, typer.Option("--bits", help=f"Width of the left codes, 2 to 16; {DEFAULT_BITS} by default.")
    ] = None,
    b_bits: Annotated[
        int | None, typer.Option("--b-bits", help="Width of the right operand's codes; as --bits by default.")
    ] = None,
    shift: Annotated[int | None, typer.Option("--shift", help="Alignment exponent m of a twin format.")] = None,
    a_format: Annotated[
        str | None, typer.Option("--a-format", help=f"One of {', '.join((*LEFT_FORMATS, *BLOCKS))}.")
    ] = None,
    b_format: Annotated[
        str | None, typer.Option("--b-format", help=f"One of {', '.join((*RIGHT_FORMATS, *BLOCKS))}.")
    ] = None,
    alignment: Annotated[
        str, typer.Option("--alignment", help="product, operand or deferred (one register per range).")
    ] = "product",
    a_unsigned: AUnsignedOption = False,
    a_zero_point: AZeroPointOption = 0,
    b_unsigned: BUnsignedOption = False,
    b_zero_point: BZeroPointOption = 0,
    zero_point: ZeroPointOption = None,
    profile: ProfileOption = None,
    weight: WeightOption = None,
    rounding: RoundingOption = None,
    a_scale: AScaleOption = None,
    b_scale: BScaleOption = None,
    data: DataOption = "digits",
    images: Annotated[int, typer.Option("--images", min=0, help="Images for the calibrated bound; 0 for none.")] = 32,
    as_json: JsonOption = False,
) -> None:
    of_blocks = {"--weight": weight, "--rounding": rounding, "--a-scale": a_scale, "--b-scale": b_scale}
    if is_block(a_format, b_format) and calibrated is None:
        plain = {"--bits": bits, "--b-bits": b_bits, "--shift": shift, "--a-unsigned": a_unsigned or None,
                 "--a-zero-point": a_zero_point or None, "--b-unsigned": b_unsigned or None,
                 "--b-zero-point": b_zero_point or None, "--alignment": None if alignment == "product" else alignment,
                 "--zero-point": zero_point if zero_point != "operand" else None, "--profile": profile}  # fmt: skip
        _of_blocks(
            *block_formats(a_format, b_format, plain), depth, fixed_point(weight, rounding), a_scale, b_scale, as_json
        )
        return
    if calibrated is None:
        refuse_block_options(of_blocks)
    chosen = make_profile(profile)
    if chosen is not None:
        if (alignment, zero_point or "operand") != ("product", "operand"):
            raise ValueError(f"{chosen.name} says what its datapath is: leave --alignment and --zero-point out")
        alignment, zero_point = str(chosen.accumulator.alignment), str(chosen.accumulator.zero_point)
    if calibrated is not None:
        if chosen is not None:
            raise ValueError(
                f"--profile was given with a file, and bounds takes it without one; try ptqsim simulate {calibrated} "
                f"--profile {chosen.name}"
            )
        if any(option is not None for option in (depth, shift, a_format, b_format)):
            raise ValueError(
                f"{calibrated} says what its layers are: leave --depth, --shift, --a-format and --b-format out"
            )
        if a_unsigned or a_zero_point or b_unsigned or b_zero_point:
            raise ValueError(
                f"{calibrated} says what its codes are: leave options of unsigned codes and zero points out"
            )
        if a_scale is not None or b_scale is not None:
            raise ValueError(f"{calibrated} says what its blocks are: leave --a-scale and --b-scale out")
        layer_bounds(calibrated, data, images, alignment, zero_point, weight, rounding, as_json)
        return
    zero_point = zero_point or "operand"
    if depth is None:
        raise ValueError("neither a calibrated model nor --depth was given: try ptqsim bounds --bits 8 --depth 1536")
    a = make_format(a_format, bits, shift, a_unsigned, a_zero_point)
    b = make_right_format(b_format, b_bits, bits, b_unsigned, b_zero_point)
    if chosen is not None:
        chosen.check(a, b)
    found = [pq.bounds.datatype(a, b, depth, alignment, zero_point)]
    if isinstance(a, pq.TwinSoftmax):
        found.append(pq.bounds.row_stochastic(a, b, depth, zero_point=zero_point))
    output = Output(as_json)
    show(output, found, title=f"{called(a)}, shift {a.shift}, times {called(b)}, depth {depth}")
    registers = [] if chosen is None else _registers(chosen, a, b, depth)
    if registers:
        columns = ["register", "bits", "bits needed", "can overflow", "mode"]
        output.table(columns, [list(one.values()) for one in registers], title=f"registers of {profile}")
    output.note("Tighter bounds need more than formats: weight_aware the weights, calibrated the data.")
    output.result(
        {
            "a": a.to_dict(),
            "b": b.to_dict(),
            "depth": depth,
            "alignment": alignment,
            "zero_point": zero_point,
            "profile": profile,
            "registers": registers,
            "bits": min(bound.bits for bound in found),
            "bounds": [describe(bound) for bound in found],
        }
    )


def _registers(
    profile: pq.profiles.Profile, a: pq.NumberFormat, b: pq.NumberFormat, depth: int
) -> list[dict[str, str | int | bool]]:
    """Each register of a profile: its width, the one that any codes need, and its overflow mode."""
    unit, order = profile.accumulator, profile.accumulator.order
    found = [("accumulator", unit.bits, depth, False, unit.overflow)]
    if isinstance(order, pq.Split):
        found.insert(0, ("tile", order.inner_bits, min(depth, order.tile), True, unit.inner_overflow))
    registers: list[dict[str, str | int | bool]] = []
    for name, bits, products, tile, mode in found:
        needed = pq.bounds.datatype(a, b, products, unit.alignment, unit.zero_point, tile).bits
        registers.append(
            {"register": name, "bits": bits, "bits_needed": needed, "can_overflow": needed > bits, "mode": str(mode)}
        )
    return registers


def _of_blocks(
    a: pq.Block, b: pq.Block, depth: int | None, register: pq.FixedPoint, a_scale: float | None, b_scale: float | None,
    as_json: bool,
) -> None:  # fmt: skip
    """The bound of blocks, of formats and largest scales."""
    if depth is None:
        raise ValueError("no --depth was given, the number of products per output: try --depth 768")
    found = pq.block_bounds.datatype(a, b, depth, register, a_scale, b_scale)
    output = Output(as_json)
    show(output, [found], title=f"{a} times {b}, depth {depth}, least bit 2**{register.weight}, {register.rounding}")
    note = padded(depth, a.block)
    if note is not None:
        output.note(note)
    if found.bits > MAX_REGISTER_BITS:
        output.note(
            f"no register of {found.bits} bits is simulated, {MAX_REGISTER_BITS} are: scales of MX reach 2**127; say "
            "with --a-scale and --b-scale which are the largest, or raise --weight"
        )
    output.note("A tighter bound needs more than formats: ptqsim.block_bounds.weight_aware takes the weights.")
    output.result(
        {
            "a": {"element": a.element.to_dict(), "block": a.block, "scale": str(a.scale)},
            "b": {"element": b.element.to_dict(), "block": b.block, "scale": str(b.scale)},
            "depth": depth,
            "weight": register.weight,
            "rounding": str(register.rounding),
            "bits": found.bits,
            "bounds": [describe(found)],
        }
    )


def show(output: Output, found: Sequence[pq.Bound], title: str) -> None:
    """The bounds as a table, tightest first."""
    rows = [(bound.name, bound.bits, bound.kind, bound.why) for bound in sorted(found, key=lambda bound: bound.bits)]
    output.table(["bound", "bits", "what it is", "why"], rows, title=title)


def describe(bound: pq.Bound) -> dict[str, object]:
    """One bound, for scripts."""
    return {
        "name": bound.name,
        "kind": bound.kind,
        "bits": bound.bits,
        "lowest": bound.lowest,
        "highest": bound.highest,
        "why": bound.why,
    }
