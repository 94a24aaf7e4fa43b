"""SystemVerilog of a unit of blocks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ptqsim import rtl
from ptqsim.cli.blocks import block_formats
from ptqsim.cli.framework.output import Output
from ptqsim.datapath.blocks.registers import AlignedFloat32, FixedPoint, parse_register
from ptqsim.rtl.design import parts_of


def generate_blocks(
    a_format: str | None, b_format: str | None, register: str | None, plain: Mapping[str, object], multiplier: str,
    name: str, output: Path, out: Output,
) -> None:  # fmt: skip
    """Write the processing element of two block formats, and show its modules.

    Parameters
    ----------
    a_format, b_format : str or None
        Names of the formats; the right one is the left one by default.
    register : str or None
        The register, as a text.
    plain : mapping of str to object
        Options of other units, with what was given or None.
    multiplier, name : str
        Of the unit.
    output : Path
        Directory to write.
    out : Output

    Raises
    ------
    ValueError
        Without a register, or if no unit can be made of the options.
    """
    a, b = block_formats(a_format, b_format, plain)
    if register is None:
        raise ValueError(
            "a unit of blocks has a register of its own: give --register, for instance --register "
            "fixed:32:-16:saturate or aligned:14"
        )
    made = parse_register(register)
    if not isinstance(made, FixedPoint | AlignedFloat32):
        raise ValueError(
            f"no unit is generated for --register {register}; legal are fixed:BITS:WEIGHT and aligned:BITS"
        )
    unit = rtl.BlockUnit(a, b, made, multiplier, name)
    module = unit.module()
    written = rtl.write([module], output, {"block_unit": unit.to_dict()})
    rows = [
        (f"{part.name}.sv", len(part.render().splitlines()), " ".join(part.header.strip().split("\n\n")[0].split()))
        for part in parts_of([module])
    ]
    out.table(["file", "lines", "what it is"], rows, title=f"{output}: {unit.a} times {unit.b}, {unit.register}")
    out.note(f"files.f lists them in the order to compile; top: {module.name}")
    out.result({"output": output, "files": [path.name for path in written], "block_unit": unit.to_dict()})
