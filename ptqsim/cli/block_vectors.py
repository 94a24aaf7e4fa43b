"""Golden vectors of products of blocks, as commands write and show them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ptqsim as pq
from ptqsim import golden
from ptqsim.cli.framework.output import Output
from ptqsim.datapath.blocks.registers import parse_register


def write_block_vectors(
    a: pq.Block, b: pq.Block, register: str | None, sizes: Mapping[str, Any], pattern: str | None, output: Path,
    out: Output,
) -> None:  # fmt: skip
    """Compute, write and show vectors of a product of blocks.

    Raises
    ------
    ValueError
        Without a depth, or with a register that cannot be read or traps.
    """
    if sizes["depth"] is None:
        raise ValueError("no --depth was given, the number of products per output: try --depth 64")
    made = pq.Float32() if register is None else parse_register(register)
    chosen = golden.Pattern.of("mixed" if pattern is None else pattern)
    seed = sizes["seed"]
    left, right = golden.block_stimulus(a, b, sizes["rows"], sizes["depth"], sizes["cols"], chosen, seed)
    with out.progress("reference", "output") as report:
        found = golden.compute_blocks(left, right, made, progress=report)
    source = {"kind": "stimulus", "pattern": str(chosen), "seed": seed}
    written = golden.write_blocks(found, output, source)
    show_blocks(out, found, f"golden vectors in {output}")
    out.result({"output": output, "files": [path.name for path in written], "outputs": found.registers[..., 0].size})


def show_blocks(out: Output, found: golden.BlockVectors, title: str) -> None:
    """Show shapes, formats and register as a table."""
    rows = [[name, str(list(one.shape)), str(one.format)] for name, one in (("a", found.a), ("b", found.b))]
    rows.append(["registers", str(list(found.registers.shape)), str(found.register)])
    out.table(["what", "shape", "how"], rows, title=title)
