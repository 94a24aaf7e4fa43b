"""One step of the unit: a group of products and the registers as they stand, to the registers as they stand then."""

from __future__ import annotations

from ptqsim.rtl.hardware.accumulate import accumulate
from ptqsim.rtl.hardware.product import product, shift_ports
from ptqsim.rtl.hardware.unit import Unit
from ptqsim.rtl.hardware.verilog import Module, Port, Signal, inp, instance, lines, out, part_of, wire


def registers(unit: Unit) -> tuple[Signal, ...]:
    """The registers of the unit: per pair of ranges the tile register, if there is one, and that of P bits."""
    kinds = (unit.inner, unit.acc) if unit.split else (unit.acc,)
    return tuple(kind.named(kind.name + unit.tag(pair)) for pair in unit.pairs for kind in kinds)


def code_ports(unit: Unit) -> tuple[Port, ...]:
    """The codes of one step, a lane beside the other."""
    what = "codes, lane 0 lowest" if unit.lanes > 1 else "code"
    return tuple(
        inp(f"{side}_code", unit.lanes * fmt.bits, f"{fmt.kind} {what}", fields=unit.lanes) for side, fmt in unit.sides
    )


def step(unit: Unit) -> Module:
    """Combinational: next registers from registers and codes."""
    held = registers(unit)
    ports = [*code_ports(unit), *(() if unit.deferred else shift_ports(unit))]
    if unit.split:
        ports.append(inp("tile_end", 0, "this product is the last of its tile"))
    ports += [inp(one.name, one.bits, "register", signed=True) for one in held]
    ports += [out(f"next_{one.name}", one.bits, "register after this step", signed=True) for one in held]
    if unit.traps:
        ports.append(out("overflows", 0, "an addition of this step does not fit its register"))
    products, parts = _products(unit)
    additions = [_additions(unit, pair) for pair in unit.pairs]
    body = lines(products, *(text for text, _, _ in additions), _flag(unit, [flag for _, _, flag in additions]))
    every = (*parts, *(module for _, modules, _ in additions for module in modules))
    return Module(f"{unit.name}_step", _header(unit), tuple(ports), body, every)


def _products(unit: Unit) -> tuple[str, tuple[Module, ...]]:
    """Instances of the product, and for each register what its lanes add up to."""
    module, text = product(unit), []
    for lane in range(unit.lanes):
        suffix = f"_{lane}" if unit.lanes > 1 else ""
        wires = {"term": f"term{suffix}"}
        text.append(wire(unit.term.named(wires["term"])))
        for side, fmt in unit.sides:
            code = f"{side}_code"
            wires[code] = part_of(code, lane, fmt.bits) if unit.lanes > 1 else code
        if unit.deferred:
            for side, _ in unit.twins:
                wires[f"{side}_flag"] = f"{side}_flag{suffix}"
                text.append(wire(Signal(wires[f"{side}_flag"])))
        text.append(instance(module, f"product{suffix}", **wires))
    sums = [_group_sum(unit, pair) for pair in unit.pairs]
    return lines("\n".join(text), "\n".join(sums)), (module,)


def _group_sum(unit: Unit, pair: tuple[int, int]) -> str:
    """The exact sum over the lanes of the terms that belong to the registers of this pair."""
    terms, declared = [], []
    for lane in range(unit.lanes):
        suffix = f"_{lane}" if unit.lanes > 1 else ""
        chosen = _chosen(unit, pair, suffix)
        if chosen:
            own = unit.term.named(f"term{unit.tag(pair)}{suffix}")
            declared.append(wire(own, f"({chosen}) ? term{suffix} : {unit.term.bits}'sd0"))
            terms.append(own.to(unit.group_sum.bits))
        else:
            terms.append(unit.term.named(f"term{suffix}").to(unit.group_sum.bits))
    return "\n".join([*declared, wire(unit.group_sum.named(f"group_sum{unit.tag(pair)}"), tree(terms))])


def _chosen(unit: Unit, pair: tuple[int, int], suffix: str) -> str:
    """The condition under which a lane belongs to this pair of ranges; empty if it always does."""
    if not unit.deferred:
        return ""
    flags = dict(zip(("a", "b"), pair, strict=True))
    return " & ".join(f"{'' if flags[side] else '~'}{side}_flag{suffix}" for side, _ in unit.twins)


def tree(terms: list[str]) -> str:
    """A balanced sum."""
    while len(terms) > 1:
        pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
        terms = [f"({' + '.join(pair)})" if len(pair) == 2 else pair[0] for pair in pairs]
    return terms[0].removeprefix("(").removesuffix(")") if terms[0].startswith("(") else terms[0]


def _additions(unit: Unit, pair: tuple[int, int]) -> tuple[str, tuple[Module, ...], list[str]]:
    """The additions into the registers of one pair: text, modules, and the names of their overflow flags."""
    tag, overflow = unit.tag(pair), unit.accumulator.overflow
    added, total = unit.group_sum, f"group_sum{tag}"
    if unit.split is None:
        module = accumulate(f"{unit.name}_accumulate", unit.acc, added, overflow)
        flag = {"overflows": f"overflows{tag or '_acc'}"} if unit.traps else {}
        text = instance(module, f"accumulate{tag}", register=f"acc{tag}", term=total, sum=f"next_acc{tag}", **flag)
        declared = "\n".join(f"wire {name};" for name in flag.values())
        return lines(declared, text), (module,), list(flag.values())
    inner = accumulate(f"{unit.name}_accumulate_inner", unit.inner, added, unit.accumulator.inner_overflow)
    outer = accumulate(f"{unit.name}_accumulate", unit.acc, unit.inner, overflow)
    flags = [f"overflows_inner{tag}", f"overflows_acc{tag}"] if unit.traps else []
    inner_flag = {"overflows": flags[0]} if flags else {}
    outer_flag = {"overflows": flags[1]} if flags else {}
    body = lines(
        "\n".join(f"wire {name};" for name in flags),
        wire(unit.inner.named(f"tile_sum{tag}")),
        instance(
            inner, f"accumulate_inner{tag}", register=f"inner{tag}", term=total, sum=f"tile_sum{tag}", **inner_flag
        ),
        wire(unit.acc.named(f"acc_sum{tag}")),
        instance(
            outer, f"accumulate{tag}", register=f"acc{tag}", term=f"tile_sum{tag}", sum=f"acc_sum{tag}", **outer_flag
        ),
        f"""
        assign next_inner{tag} = tile_end ? {unit.inner.bits}'sd0 : tile_sum{tag};
        assign next_acc{tag} = tile_end ? acc_sum{tag} : acc{tag};
        """,
    )
    return body, (inner, outer), flags


def _flag(unit: Unit, flags: list[list[str]]) -> str:
    if not unit.traps:
        return ""
    # The tile register is added into the accumulator at the end of its tile only.
    named = [f"(tile_end & {flag})" if flag.startswith("overflows_acc") and unit.split else flag
             for own in flags for flag in own]  # fmt: skip
    each = "\n    | ".join(named)
    return f"assign overflows =\n    {each};" if len(named) > 2 else f"assign overflows = {' | '.join(named)};"


def _header(unit: Unit) -> str:
    accumulator, group = unit.accumulator, "exact product of its codes"
    if unit.lanes > 1:
        group = f"exact sum of {unit.lanes} products; a group that is smaller is filled up with {unit.filler}"
    text = [f"One step of the unit: {accumulator.overflow}, {accumulator.order.kind}, {accumulator.alignment}.", ""]
    if unit.split:
        own = "overflow" if accumulator.inner_overflow == accumulator.overflow else accumulator.inner_overflow
        text += [f"  tile_sum = {own}(inner + term)", "  next_inner = tile_end ? 0 : tile_sum"]
        text += ["  next_acc = tile_end ? overflow(acc + tile_sum) : acc"]
    else:
        text += ["  next_acc = overflow(acc + term)"]
    text += [f"  term = {group}"]
    if unit.deferred and unit.twins:
        text += [
            "",
            "There is a register for every pair of ranges; a product is added to that of its pair, 0 to others.",
        ]
    return "\n".join(text)
