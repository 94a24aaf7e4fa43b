"""Claims about the generated circuits, decided by the SAT solver of Yosys.

Two multipliers that are built differently are hard for a SAT solver, and a constant times a code is easy.  So a claim
that compares such is decided once for every code of the left operand: together these are the whole claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ptqsim.common import files
from ptqsim.datapath.order import Sequential
from ptqsim.datapath.spec import Alignment, OverflowMode, ZeroPoint
from ptqsim.rtl import tools
from ptqsim.rtl.hardware.correction import extended, integer, integer_signal, times
from ptqsim.rtl.hardware.operands import twin
from ptqsim.rtl.hardware.step import step
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module, Signal, inp, instance, lines, out, wire
from ptqsim.rtl.proofs.claim import Claim

_FAILED: Final = "SAT proof finished - model found: FAIL!"
_PROVEN: Final = "SAT proof finished - no model found: SUCCESS!"
_MAX_CASES: Final = 1 << 10
"""Codes of the left operand up to which a claim is decided code by code."""


def circuit_claims(unit: Unit) -> list[Claim]:
    """The claims about one unit; each is about one step, and so by induction about every sequence of steps."""
    sequential = replace(unit, accumulator=replace(unit.accumulator, order=Sequential()), runtime_shift=False)
    product = _aligned(sequential, Alignment.PRODUCT, "gold")
    mapped = replace(unit, name="unit")
    claims = [
        Claim(
            "RTL is gates",
            f"the step as written is the step mapped to gates{_each(unit)}",
            "yosys",
            lambda timeout: _same_as_gates(mapped, timeout),
        )
    ]
    if unit.corrects and not twin(unit.b):
        claims += [
            Claim(
                f"RTL: correction is operand, {overflow}",
                f"if o = p + d before a step then after it, with d what corrects the products in p{_each(sequential)}",
                "yosys",
                lambda timeout, overflow=overflow: _corrected(sequential, overflow, timeout),  # type: ignore[misc]
                holds=overflow == OverflowMode.WRAP,
            )
            for overflow in (OverflowMode.WRAP, OverflowMode.SATURATE)
        ]
    if not unit.twins and not unit.floats:
        return claims
    claims.append(
        Claim(
            "RTL: product is operand",
            f"the step with the shift after the multiplier is the step with the shift before it{_each(sequential)}",
            "yosys",
            lambda timeout: same(product, step(_aligned(sequential, Alignment.OPERAND, "gate")), timeout),
        )
    )
    if len(unit.twins) == 1 and not unit.floats:
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
    ((_, left),) = unit.twins
    acc = unit.acc
    bits = acc.bits
    names = [f"acc{apart.tag(pair)}" for pair in apart.pairs]
    combined = f"{names[0]} + ({names[1]} <<< {left.shift})"
    after = f"next_{names[0]} + (next_{names[1]} <<< {left.shift})"
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
    return _sat(["hierarchy -check -top both", "proc", "flatten", "opt -full"], [_query("ok", 1)], [both], timeout)


def _corrected(unit: Unit, overflow: OverflowMode, timeout: float) -> str | None:
    """Both places of the zero points side by side: the register of one is that of the other and a correction."""
    given = replace(unit.accumulator, overflow=overflow, alignment=Alignment.PRODUCT)
    raw = replace(unit, accumulator=given, name="gate")
    subtracted = replace(raw, accumulator=replace(given, zero_point=ZeroPoint.OPERAND), name="gold")
    one, two, value = step(subtracted), step(raw), integer(raw)
    bits, z_a, z_b = unit.acc.bits, unit.a.zero_point, unit.b.zero_point
    wide = max(bits, integer_signal(raw).bits + 1, unit.b.bits + 1)
    a_value, b_integer = integer_signal(raw).named("a_value"), raw.mantissa("b").named("b_integer")
    product, *multiples = f"{wide}'d{z_a * z_b % (1 << wide)}", times("wide_b", -z_a), times("wide_a", -z_b)
    body = lines(
        "\n".join([wire(a_value), instance(value, "value"), wire(b_integer, "b_code")]),
        "\n".join(wire(Signal(name, wide, True), extended(signal, wide))
                  for name, signal in (("wide_a", a_value), ("wide_b", b_integer))),
        wire(Signal("correction", wide, True), " + ".join([product, *(f"({text})" for text in multiples if text)])),
        wire(Signal("o", bits, True), "acc + d"),
        wire(Signal("next_d", bits, True), f"d + correction[{bits - 1}:0]"),
        "\n".join(wire(Signal(f"next_{name}", bits, True)) for name in ("o", "acc")),
        instance(one, "operand", acc="o", next_acc="next_o"),
        instance(two, "correction"),
        wire(Signal("corrected", bits, True), "next_acc + next_d"),
        "assign ok = next_o == corrected;",
    )  # fmt: skip
    inputs = tuple(port for port in two.ports if port.direction == "input")
    ports = (*inputs, inp("d", bits, signed=True), out("ok"))
    both = Module(
        "both", "Correction beside operand.\n\n  ok = next_o == next_p + next_d", ports, body, (one, two, value)
    )
    queries = [_query("ok", 1)]
    if _by_code(unit):
        queries = [_query("ok", 1, f"-set a_code {code}") for code in range(unit.a.code_count)]
    return _sat(["hierarchy -check -top both", "proc", "flatten", "opt -full"], queries, [both], timeout)


def same(gold: Unit, gate: Module, timeout: float) -> str | None:
    """None if the step of a unit is another module for every input, else an input that tells them apart."""
    one = step(gold)
    commands = ["proc", "flatten", f"miter -equiv -flatten -make_outputs {one.name} {gate.name} both"]
    return _sat([*commands, "hierarchy -top both", "opt -full"], _queries(gold), [one, gate], timeout)


def _same_as_gates(unit: Unit, timeout: float) -> str | None:
    return step_is_gates(step(unit), timeout, _queries(unit))


def step_is_gates(module: Module, timeout: float, queries: Sequence[str] | None = None) -> str | None:
    """None if a combinational module as written is the same mapped to gates, else an input that tells them apart.

    Parameters
    ----------
    module : Module
    timeout : float
        Seconds.
    queries : sequence of str, optional
        Cases of the question, as Yosys takes them; all inputs at once by default.
    """
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
    ]
    return _sat(mapped, queries or [_query("trigger", 0)], [module], timeout)


def _by_code(unit: Unit) -> bool:
    return unit.lanes == 1 and unit.a.code_count <= _MAX_CASES


def _each(unit: Unit) -> str:
    return f"; {unit.a.code_count} cases, the codes of a" if _by_code(unit) else ""


def _queries(unit: Unit) -> list[str]:
    """The trigger of a miter never rises: one query for every code of the left operand, or one for all of them."""
    if not _by_code(unit):
        return [_query("trigger", 0)]
    return [_query("trigger", 0, f"-set in_a_code {code}") for code in range(unit.a.code_count)]


def _query(signal: str, value: int, given: str = "") -> str:
    return f"sat -prove {signal} {value} {given} -show-inputs -show-outputs -set-def-inputs both"


def _sat(commands: Sequence[str], queries: Sequence[str], modules: Sequence[Module], timeout: float) -> str | None:
    """None if every query is proven, else the first counterexample."""
    yosys = tools.find("yosys", "to prove")
    with TemporaryDirectory(dir=tools.cache_folder("proofs")) as name:
        folder = Path(name)
        texts = {part.name: part.render() for module in modules for part in module.hierarchy()}
        files.write_scratch(folder / "design.sv", "\n".join(texts.values()))
        written = yosys.script(["read_verilog -sv design.sv", *commands, *queries], folder, timeout)
    if _FAILED in written:
        return " ".join(_model(written[written.index(_FAILED) :].partition(_PROVEN)[0]))
    if written.count(_PROVEN) == len(queries):
        return None
    raise tools.ToolError(f"{yosys.version} gave no verdict: {' '.join(written.split())[-300:]}")


def _model(written: str) -> list[str]:
    """Names and decimal values of the counterexample that Yosys printed first."""
    rows: dict[str, str] = {}
    for line in written.split("\n"):
        row = line.split()
        if len(row) >= 3 and row[0].startswith("\\") and row[0] != "\\trigger":
            rows.setdefault(row[0][1:], row[1])
    return [f"{name} = {value}" for name, value in rows.items()]
