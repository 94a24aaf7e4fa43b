"""Claims about the generated circuits, decided by the SAT solver of Yosys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ptqsim.datapath.spec import Alignment, OverflowMode, Sequential
from ptqsim.rtl import tools
from ptqsim.rtl.hardware.step import step
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module, Signal, instance, lines, out, wire
from ptqsim.rtl.proofs.claim import Claim

_FAILED: Final = "SAT proof finished - model found: FAIL!"
_PROVEN: Final = "SAT proof finished - no model found: SUCCESS!"


def circuit_claims(unit: Unit) -> list[Claim]:
    """The claims about one unit; each is about one step, and so by induction about every sequence of steps."""
    sequential = replace(unit, accumulator=replace(unit.accumulator, order=Sequential()), runtime_shift=False)
    product = _aligned(sequential, Alignment.PRODUCT, "gold")
    mapped = step(replace(unit, name="unit"))
    claims = [
        Claim(
            "RTL is gates",
            "the step as written is the step mapped to gates",
            "yosys",
            lambda timeout: _same_as_gates(mapped, timeout),
        )
    ]
    if not unit.twins:
        return claims
    claims.append(
        Claim(
            "RTL: product is operand",
            "the step with the shift after the multiplier is the step with the shift before it",
            "yosys",
            lambda timeout: _same(step(product), step(_aligned(sequential, Alignment.OPERAND, "gate")), timeout),
        )
    )
    if len(unit.twins) == 1:
        claims += [
            Claim(
                f"RTL: product is deferred, {overflow}",
                "if acc = r1 + (r2 << m) before a step then after it, in P bits",
                "yosys",
                lambda timeout, overflow=overflow: _deferred(sequential, overflow, timeout),  # type: ignore[misc]
                holds=overflow == OverflowMode.WRAP,
            )
            for overflow in (OverflowMode.WRAP, OverflowMode.SATURATE)
        ]
    return claims


def _aligned(unit: Unit, alignment: Alignment, name: str) -> Unit:
    return replace(unit, accumulator=replace(unit.accumulator, alignment=alignment), name=name)


def _deferred(unit: Unit, overflow: OverflowMode, timeout: float) -> str | None:
    """Both steps side by side; the register of one is the combination of those of the other, before and after."""
    plain = replace(unit, accumulator=replace(unit.accumulator, overflow=overflow))
    joined, apart = _aligned(plain, Alignment.PRODUCT, "gold"), _aligned(plain, Alignment.DEFERRED, "gate")
    one, two = step(joined), step(apart)
    ((_, twin),) = unit.twins
    acc = unit.acc
    bits = acc.bits
    names = [f"acc{apart.tag(pair)}" for pair in apart.pairs]
    combined = f"{names[0]} + ({names[1]} <<< {twin.shift})"
    after = f"next_{names[0]} + (next_{names[1]} <<< {twin.shift})"
    inputs = tuple(port for port in two.ports if port.direction == "input")
    body = lines(
        wire(acc, combined),
        "\n".join(wire(Signal(f"next_{name}", bits, True)) for name in ("acc", *names)),
        instance(one, "product"),
        instance(two, "deferred"),
        wire(Signal("combined", bits, True), after),
        "assign ok = next_acc == combined;",
    )
    both = Module("both", "Product beside deferred.\n\n  ok = next_acc == next_r1 + (next_r2 << m)",
                  (*inputs, out("ok")), body, (one, two))  # fmt: skip
    return _sat(["hierarchy -check -top both", "proc", "flatten", "opt -full", _query("ok", 1)], [both], timeout)


def _same(gold: Module, gate: Module, timeout: float) -> str | None:
    miter = f"miter -equiv -flatten -make_outputs {gold.name} {gate.name} both"
    commands = ["proc", "flatten", miter, "hierarchy -top both", "opt -full", _query("trigger", 0)]
    return _sat(commands, [gold, gate], timeout)


def _same_as_gates(module: Module, timeout: float) -> str | None:
    mapped = [
        f"hierarchy -check -top {module.name}",
        "proc",
        "flatten",
        "opt_clean -purge",
        f"rename {module.name} gold",
        "copy gold gate",
        "techmap gate",
        "simplemap gate",
        "opt -full gate",
        "miter -equiv -flatten -make_outputs gold gate both",
        "hierarchy -top both",
        _query("trigger", 0),
    ]
    return _sat(mapped, [module], timeout)


def _query(signal: str, value: int) -> str:
    return f"sat -prove {signal} {value} -show-inputs -show-outputs -set-def-inputs both"


def _sat(commands: Sequence[str], modules: Sequence[Module], timeout: float) -> str | None:
    yosys = tools.find("yosys", "to prove")
    with TemporaryDirectory(dir=tools.cache_folder("proofs")) as name:
        folder = Path(name)
        texts = {part.name: part.render() for module in modules for part in module.hierarchy()}
        (folder / "design.sv").write_text("\n".join(texts.values()), encoding="utf-8")
        written = yosys.script(["read_verilog -sv design.sv", *commands], folder, timeout)
    if _PROVEN in written:
        return None
    if _FAILED in written:
        return " ".join(_model(written))
    raise tools.ToolError(f"{yosys.version} gave no verdict: {' '.join(written.split())[-300:]}")


def _model(written: str) -> list[str]:
    """Names and decimal values of the counterexample that Yosys printed."""
    rows = [line.split() for line in written.split("\n") if line.strip().startswith("\\")]
    return [f"{row[0][1:]} = {row[1]}" for row in rows if len(row) >= 3 and row[0] != "\\trigger"]
