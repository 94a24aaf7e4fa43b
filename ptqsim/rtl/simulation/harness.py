"""The C++ between ctypes and a module that Yosys has written as C++ (CXXRTL)."""

from __future__ import annotations

from ptqsim.rtl.hardware.verilog import Module, Port
from ptqsim.rtl.simulation.streams import Streams

PRELUDE = """\
#include <cstdint>
#include <cxxrtl/cxxrtl.h>

template<size_t bits> static uint32_t *words(cxxrtl::value<bits> &port) { return port.data; }
template<size_t bits> static uint32_t *words(cxxrtl::wire<bits> &port) { return port.curr.data; }

template<size_t bits> static void put(cxxrtl::value<bits> &port, const uint32_t *&from) {
    for (size_t i = 0; i < cxxrtl::value<bits>::chunks; i++) port.data[i] = *from++;
}
template<size_t bits> static void get(cxxrtl::value<bits> &port, uint32_t *&to) {
    for (size_t i = 0; i < cxxrtl::value<bits>::chunks; i++) *to++ = port.data[i];
}
template<size_t bits> static void get(cxxrtl::wire<bits> &port, uint32_t *&to) {
    for (size_t i = 0; i < cxxrtl::value<bits>::chunks; i++) *to++ = port.curr.data[i];
}

// One row of inputs after the other: a rising edge of the clock after each, if there is a clock. Outputs are what they
// are before that edge.
template<class Unit> static void cycles(int64_t rows, const uint32_t *in, uint32_t *out) {
    Unit unit;
    for (int64_t row = 0; row < rows; row++) {
        unit.clock(false);
        unit.all_inputs(in);
        unit.top.step();
        unit.all_outputs(out);
        if (Unit::clocked) { unit.clock(true); unit.top.step(); }
    }
}

// Streams: `beats[s]` of `counts[s]` beats go in, `outputs` come out. In cycle t stream s may make an offer if bit s of
// pattern[t % length] is set, and results are taken if bit 7 is. The number of cycles, or -1 if it is beyond `limit`.
template<class Unit> static int64_t stream(const uint32_t *held, const uint32_t *const *beats, const int64_t *counts,
                                           uint32_t *out, int64_t outputs, const uint8_t *pattern, int64_t length,
                                           int64_t limit) {
    Unit unit;
    unit.held(held);
    unit.reset(true);
    for (int edge = 0; edge < 4; edge++) { unit.clock(edge % 2); unit.top.step(); }
    unit.reset(false);
    const uint32_t *next[Unit::streams];
    int64_t left[Unit::streams];
    bool offered[Unit::streams];
    for (int s = 0; s < Unit::streams; s++) { next[s] = beats[s]; left[s] = counts[s]; offered[s] = false; }
    int64_t cycle = 0;
    for (; outputs > 0; cycle++) {
        if (cycle == limit) return -1;
        uint8_t now = pattern[cycle % length];
        unit.clock(false);
        for (int s = 0; s < Unit::streams; s++) {
            if (!offered[s] && left[s] > 0 && (now >> s & 1)) {
                unit.data(s, next[s]);
                left[s]--;
                offered[s] = true;
            }
            unit.valid(s, offered[s]);
        }
        bool taking = now >> 7;
        unit.out_ready(taking);
        unit.top.step();
        if (taking && unit.out_valid()) { unit.stream_outputs(out); outputs--; }
        bool ready[Unit::streams];
        for (int s = 0; s < Unit::streams; s++) ready[s] = unit.ready(s);
        unit.clock(true);
        unit.top.step();
        for (int s = 0; s < Unit::streams; s++) if (ready[s]) offered[s] = false;
    }
    return cycle;
}
"""


def harness(modules: list[Module]) -> str:
    """The translation unit of a library that holds all the modules."""
    return "\n".join([PRELUDE, *(_unit(number, module) for number, module in enumerate(modules))])


def source_of(number: int) -> str:
    """Name of the file that Yosys writes for a module."""
    return f"unit_{number}.cc"


def namespace_of(number: int) -> str:
    """Name of the namespace that Yosys puts it into."""
    return f"unit_{number}"


def _unit(number: int, module: Module) -> str:
    clock = "top.p_clk.set<bool>(level);" if module.clocked else "(void)level;"
    methods = [
        f"static constexpr bool clocked = {'true' if module.clocked else 'false'};",
        f"{namespace_of(number)}::p_{_mangled(module.name)} top;",
        f"void clock(bool level) {{ {clock} }}",
        f"void all_inputs(const uint32_t *&from) {{ {_put(module.inputs)} }}",
        f"void all_outputs(uint32_t *&to) {{ {_get(module.outputs)} }}",
    ]
    entries = [
        f'extern "C" void cycles_{number}(int64_t rows, const uint32_t *in, uint32_t *out) '
        f"{{ cycles<Unit{number}>(rows, in, out); }}"
    ]
    if any(port.name == "out_valid" for port in module.outputs):
        methods += _stream_methods(Streams.of(module))
        entries.append(
            f'extern "C" int64_t stream_{number}(const uint32_t *held, const uint32_t *const *beats, '
            "const int64_t *counts, uint32_t *out, int64_t outputs, const uint8_t *pattern, int64_t length, "
            "int64_t limit) {\n"
            f"    return stream<Unit{number}>(held, beats, counts, out, outputs, pattern, length, limit);\n}}"
        )
    body = "\n".join(f"    {line}" for line in methods)
    return f'\n#include "{source_of(number)}"\nstruct Unit{number} {{\n{body}\n}};\n' + "\n".join(entries)


def _stream_methods(streams: Streams) -> list[str]:
    names = list(streams.inputs)
    data = " ".join(f"if (s == {s}) {{ {_put(streams.inputs[name])} }}" for s, name in enumerate(names))
    valid = " ".join(f"if (s == {s}) top.p_{name}__valid.set<bool>(on);" for s, name in enumerate(names))
    ready = " ".join(f"if (s == {s}) return *words(top.p_{name}__ready) & 1;" for s, name in enumerate(names))
    return [
        f"static constexpr int streams = {len(names)};",
        f"void held(const uint32_t *from) {{ {_put(streams.held)} (void)from; }}",
        "void reset(bool on) { top.p_rst.set<bool>(on); }",
        f"void data(int s, const uint32_t *&from) {{ {data} }}",
        f"void valid(int s, bool on) {{ {valid} }}",
        f"bool ready(int s) {{ {ready} return false; }}",
        "void out_ready(bool on) { top.p_out__ready.set<bool>(on); }",
        "bool out_valid() { return *words(top.p_out__valid) & 1; }",
        f"void stream_outputs(uint32_t *&to) {{ {_get(streams.outputs)} }}",
    ]


def _put(ports: tuple[Port, ...]) -> str:
    return " ".join(f"put(top.p_{_mangled(port.name)}, from);" for port in ports)


def _get(ports: tuple[Port, ...]) -> str:
    return " ".join(f"get(top.p_{_mangled(port.name)}, to);" for port in ports)


def _mangled(name: str) -> str:
    return name.replace("_", "__")
