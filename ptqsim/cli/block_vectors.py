"""Golden vectors of products of blocks, as commands write and show them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import typer

import ptqsim as pq
from ptqsim import golden
from ptqsim.cli.framework.output import Output
from ptqsim.cli.framework.typed import typed
from ptqsim.datapath.blocks.registers import BlockRegister

PLAIN_REGISTER: Final = ("bits", "overflow", "order", "alignment", "zero_point", "profile", "trace", "name")
"""Parameters of ``ptqsim vectors`` that products of blocks do not have."""


def refuse_plain_register(context: typer.Context) -> None:
    """A ValueError if an option was typed that products of blocks do not have."""
    if given := typed(context, PLAIN_REGISTER):
        raise ValueError(
            f"products of blocks have no {', '.join(given)}: leave {'it' if len(given) == 1 else 'them'} out, and "
            "describe their register by --register"
        )


def stimulus_of_blocks(
    a: pq.Block, b: pq.Block, sizes: Mapping[str, Any], pattern: str | None
) -> tuple[pq.BlockArray, pq.BlockArray, Mapping[str, Any]]:
    """Operands of a product of blocks, and their origin as plain data.

    Raises
    ------
    ValueError
        Without a depth.
    """
    if sizes["depth"] is None:
        raise ValueError("no --depth was given, the number of products per output: try --depth 64")
    chosen = golden.Pattern.of("mixed" if pattern is None else pattern)
    seed = sizes["seed"]
    left, right = golden.block_stimulus(a, b, sizes["rows"], sizes["depth"], sizes["cols"], chosen, seed)
    return left, right, {"kind": "stimulus", "pattern": str(chosen), "seed": seed}


def write_block_vectors(
    a: pq.BlockArray, b: pq.BlockArray, register: BlockRegister, source: Mapping[str, Any], output: Path, out: Output
) -> None:
    """Compute, write and show vectors of a product of blocks [M, K] and [K, N].

    Raises
    ------
    ValueError
        With a register that traps.
    """
    with out.progress("reference", "output") as report:
        found = golden.compute_blocks(a, b, register, progress=report)
    written = golden.write_blocks(found, output, source)
    show_blocks(out, found, f"golden vectors in {output}")
    out.result({"output": output, "files": [path.name for path in written], "outputs": found.registers[..., 0].size})


def show_blocks(out: Output, found: golden.BlockVectors, title: str) -> None:
    """Show shapes, formats and register as a table."""
    rows = [[name, str(list(one.shape)), str(one.format)] for name, one in (("a", found.a), ("b", found.b))]
    rows.append(["registers", str(list(found.registers.shape)), str(found.register)])
    out.table(["what", "shape", "how"], rows, title=title)
