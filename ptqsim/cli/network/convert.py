"""Make a safetensors file of a PyTorch checkpoint (.pth, .pt, .bin), or say what it holds.

The checkpoint is read in a process of its own, without the network, by *torch.load(weights_only=True)*; one that would
have to run anything to be unpickled is refused. Weights keep their types; what is no tensor is listed and left out.
Without *-o* nothing is written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptqsim.cli.framework import places
from ptqsim.cli.framework.output import JsonOption, Output

_SHOWN = 20


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", parser=places.path, help="The checkpoint, or its *.bin.index.json.")
    ],
    output: Annotated[
        Path | None, typer.Option(*places.OUT, parser=places.path, help="Safetensors file to write.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Dictionary to take, e.g. teacher; by default the usual ones.")
    ] = None,
    ema: Annotated[bool, typer.Option("--ema", help="Take the averaged weights.")] = False,
    prefix: Annotated[
        str | None,
        typer.Option("--prefix", help="Take the tensors whose names begin so, without that beginning, and no others."),
    ] = None,
    strip: Annotated[
        bool,
        typer.Option(
            "--strip/--no-strip", help="Take module., model., backbone. and _orig_mod. off names that all have them."
        ),
    ] = True,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds until it is given up.")] = 600.0,
    as_json: JsonOption = False,
) -> None:
    from ptqsim import ptq

    out = Output(as_json)
    places.check_file("-o", output, [source])
    made = ptq.convert(source, output, key=key, ema=ema, prefix=prefix, strip=strip, timeout=timeout)
    out.table(
        ["key", "tensors", "values", "types", "taken"],
        [
            [entry["key"] or "(outermost)", entry["tensors"], f"{entry['values']:,}", ", ".join(entry["types"]), taken]
            for entry in made.entries
            for taken in ["yes" if entry["key"] == made.key else ""]
        ],
        title=f"Dictionaries of tensors in {source}",
    )
    out.table(["tensor", "shape", "type", "of these"], made.summary, title="Tensors, by names without numbers")
    if made.prefixes:
        out.note(f"taken off the names: {' '.join(made.prefixes)}")
    if made.shared:
        out.note(f"shared memory, written out each: {'; '.join(', '.join(names) for names in made.shared[:_SHOWN])}")
    if made.left_out:
        rows = list(made.left_out.items())
        more = f" (the first {_SHOWN} of {len(rows)})" if len(rows) > _SHOWN else ""
        out.table(["left out", "kind"], rows[:_SHOWN], title=f"Not converted{more}")
    if made.network != "namespace":
        out.note("read without a network namespace, which this system has none of: sockets were fenced off in Python")
    if output is not None:
        out.note(f"written to {output} ({output.stat().st_size:,} bytes)")
    out.result(
        {
            "output": output,
            "sources": made.sources,
            "key": made.key,
            "entries": made.entries,
            "tensors": {name: {"type": kind, "shape": shape} for name, (kind, shape) in made.tensors.items()},
            "prefixes": made.prefixes,
            "shared": made.shared,
            "left_out": made.left_out,
            "network": made.network,
        }
    )
