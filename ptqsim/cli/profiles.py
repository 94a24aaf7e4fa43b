"""Named profiles: the integer arithmetic of deployed processors and libraries.

Each says which codes it takes, in which registers it adds their products, and how it requantizes; docs/profiles.md has
the formulas, and what was run to confirm them. *ptqsim bounds*, *simulate* and *vectors* take *--profile NAME* in place
of the options of an accumulator, for instance

    ptqsim vectors --profile AVX2_U8S8 --a-unsigned --depth 64 -o avx2
"""

from __future__ import annotations

from typing import Annotated

import typer

import ptqsim as pq
from ptqsim.cli.framework.output import JsonOption, Output


def profiles(
    name: Annotated[str | None, typer.Argument(help="A profile, for what it is in full.")] = None,
    as_json: JsonOption = False,
) -> None:
    chosen = list(pq.profiles.PROFILES.values()) if name is None else [pq.profiles.named(name)]
    output = Output(as_json)
    if name is None:
        rows = [[one.name, _registers(one), _requantization(one), one.source] for one in chosen]
        output.table(["profile", "registers", "requantization", "source"], rows)
        output.note("ptqsim profiles NAME shows the operands that one takes.")
    else:
        (one,) = chosen
        rows = [
            ["a", str(one.a)], ["b", str(one.b)], ["registers", _registers(one)],
            ["zero points", str(one.accumulator.zero_point)], ["requantization", _requantization(one)],
            ["output", str(one.out or "none")], ["source", one.source],
        ]  # fmt: skip
        output.table(["what", "how"], rows, title=one.name)
    output.result({"profiles": [_describe(one) for one in chosen]})


def _registers(one: pq.profiles.Profile) -> str:
    unit = one.accumulator
    return f"{unit.bits} bits, {unit.overflow}, {unit.order}"


def _requantization(one: pq.profiles.Profile) -> str:
    found = one.requantization
    return "none" if found is None else f"{found.method}, factor in {found.precision}"


def _describe(one: pq.profiles.Profile) -> dict[str, object]:
    found = one.requantization
    return {
        "name": one.name,
        "a": str(one.a),
        "b": str(one.b),
        "accumulator": one.accumulator.to_dict(),
        "out": None if one.out is None else str(one.out),
        "requantization": None if found is None else {"method": found.method, "precision": found.precision},
        "source": one.source,
    }
