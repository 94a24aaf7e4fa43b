"""A self-checking test bench in SystemVerilog, and its vector files: for any simulator that knows $readmemh.

It drives the streams of a dot-product unit or a tile, or the inputs of a combinational module, from hex files, compares
every output with a hex file of expected ones, writes what it got, and ends with a line that begins with PASS or FAIL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptqsim.common import files
from ptqsim.golden.layout import digits
from ptqsim.rtl.hardware.verilog import Module, Port, block, lines
from ptqsim.rtl.simulation.ports import packed, unpacked, words_of
from ptqsim.rtl.simulation.schedule import PATIENCE, CycleSchedule
from ptqsim.rtl.simulation.streams import Streams

BENCH = "bench"
EXPECTED, FOUND = "expected.hex", "found.hex"


@dataclass(frozen=True, slots=True)
class Bench:
    """A bench and its vectors.

    Parameters
    ----------
    module : Module
        The module under test.
    beats : dict of str to tuple[tuple[Port, ...], NDArray[uint32]]
        For every input stream ("in" alone for a combinational module) its ports and their words, [beats, words] each.
    held : dict of str to int
        Values of the inputs that belong to no stream.
    expected : uint32 array or None
        Words of every output beat, or None if there is nothing to compare with.
    outputs : int
        Number of output beats.
    seed : int or None
        Seed of the gaps in the streams; None for no gaps.
    patience : int, optional
        Cycles per transfer after which a module is taken for dead.
    """

    module: Module
    beats: dict[str, tuple[tuple[Port, ...], NDArray[np.uint32]]]
    held: dict[str, int]
    expected: NDArray[np.uint32] | None
    outputs: int
    seed: int | None
    patience: int = PATIENCE

    @classmethod
    def of_streams(
        cls,
        module: Module,
        beats: Mapping[str, Mapping[str, ArrayLike]],
        held: Mapping[str, ArrayLike],
        outputs: int,
        expected: Mapping[str, ArrayLike] | None = None,
        seed: int | None = None,
        patience: int = PATIENCE,
    ) -> Bench:
        """The bench of a module with valid and ready; arguments as for `CxxrtlModule.stream`."""
        streams = Streams.of(module)
        rows = {name: len(np.asarray(next(iter(beats[name].values())))) for name in streams.inputs}
        given = {name: (ports, packed(ports, beats[name], rows[name])) for name, ports in streams.inputs.items()}
        wanted = None if expected is None else packed(streams.outputs, expected, outputs)
        values = {port.name: int(np.asarray(held[port.name])) for port in streams.held}
        return cls(module, given, values, wanted, outputs, seed, patience)

    @classmethod
    def of_rows(
        cls, module: Module, inputs: Mapping[str, ArrayLike], rows: int, expected: Mapping[str, ArrayLike] | None = None
    ) -> Bench:
        """The bench of a combinational module."""
        wanted = None if expected is None else packed(module.outputs, expected, rows)
        return cls(module, {"in": (module.inputs, packed(module.inputs, inputs, rows))}, {}, wanted, rows, None)

    @property
    def output_ports(self) -> tuple[Port, ...]:
        """Fields of one output beat."""
        return Streams.of(self.module).outputs if self.module.clocked else self.module.outputs

    def files(self) -> dict[str, str]:
        """The design, the bench and the vectors, by file name."""
        texts = self.module.files()
        texts[f"{BENCH}.sv"] = self.render()
        texts |= {f"{name}_beats.hex": _hex(ports, words) for name, (ports, words) in self.beats.items()}
        if self.expected is not None:
            texts[EXPECTED] = _hex(self.output_ports, self.expected)
        return texts

    def write(self, folder: Path) -> list[Path]:
        """Write all files into a folder, which is made if it is not there."""
        for name, text in self.files().items():
            files.write(folder / name, text)
        return [folder / name for name in self.files()]

    def read(self, text: str) -> dict[str, NDArray[np.int64]]:
        """The outputs from what the bench wrote."""
        bits = _bits(self.output_ports)
        values = [int(word, 16) for word in text.split()]
        apart, start = [], 0
        for port in self.output_ports:
            width = port.signal.width
            field = [(value >> start) & ((1 << width) - 1) for value in values]
            apart.append([[(word >> (32 * i)) & 0xFFFFFFFF for i in range(words_of(port))] for word in field])
            start += width
        assert start == bits
        return unpacked(self.output_ports, np.concatenate([np.array(one, np.uint32) for one in apart], axis=1))

    def render(self) -> str:
        """The bench itself."""
        body = self._streams() if self.module.clocked else self._rows()
        check = "nothing to compare with" if self.expected is None else f"compared with {EXPECTED}"
        head = (
            f"// Self-checking bench of {self.module.name}: {self.outputs} outputs, {check}.\n`timescale 1ns / 1ps\n\n"
        )
        return head + f"module {BENCH};\n" + "\n".join(f"    {x}".rstrip() for x in body.split("\n")) + "\nendmodule\n"

    # --- parts of the text

    def _memories(self) -> str:
        declared, read = [], []
        for name, (ports, words) in self.beats.items():
            declared.append(f"logic [{_bits(ports) - 1}:0] {name}_beats [0:{len(words) - 1}];")
            read.append(f'    $readmemh("{name}_beats.hex", {name}_beats);')
        if self.expected is not None:
            declared.append(f"logic [{_bits(self.output_ports) - 1}:0] expected [0:{self.outputs - 1}];")
            read.append(f'    $readmemh("{EXPECTED}", expected);')
        opened = f'    found_file = $fopen("{FOUND}", "w");'
        text = ["integer found_file;", "integer errors = 0;", "integer taken = 0;", *declared, "initial begin"]
        return "\n".join([*text, *read, opened, "end"])

    def _judged(self) -> str:
        """The statements that take one output."""
        bits = _bits(self.output_ports)
        compare = """
            if (found !== expected[taken]) begin
                errors = errors + 1;
                if (errors <= 10) $display("output %0d is %h, expected %h", taken, found, expected[taken]);
            end
        """
        return lines(
            f'$fdisplay(found_file, "%0{-(-bits // 4)}h", found);', compare if self.expected is not None else ""
        )

    def _end(self) -> str:
        return block(f"""
            if (errors == 0) $display("PASS %0d outputs", {self.outputs});
            else $display("FAIL %0d of %0d outputs differ", errors, {self.outputs});
            $fclose(found_file);
            $finish;
        """)

    def _rows(self) -> str:
        ports, words = self.beats["in"]
        wires = "\n".join(f"wire {port.signal.type}{port.name};" for port in self.module.outputs)
        loop = [f"for (row = 0; row < {len(words)}; row = row + 1) begin", "    in_now = in_beats[row];", "    #10;"]
        loop += [f"    {line}".rstrip() for line in self._judged().split("\n")] + ["    taken = taken + 1;", "end"]
        body = "\n".join(f"    {line}".rstrip() for line in [*loop, *self._end().split("\n")])
        return lines(
            self._memories(),
            f"integer row;\nlogic [{_bits(ports) - 1}:0] in_now;\n{wires}",
            self._found(),
            self._instance(dict(_slices("in", ports))),
            f"initial begin\n    #1;\n{body}\nend",
        )

    def _streams(self) -> str:
        streams = Streams.of(self.module)
        wires = {f"{name}_{end}": f"{name}_{end}" for name in streams.inputs for end in ("valid", "ready")}
        wires |= {"clk": "clk", "rst": "rst", "out_ready": "out_ready", "out_valid": "out_valid"}
        for name, (ports, _) in self.beats.items():
            wires |= dict(_slices(name, ports))
        widths = {port.name: port.signal.width for port in streams.held}
        wires |= {name: f"{widths[name]}'d{value}" for name, value in self.held.items()}
        declared = [f"wire {port.signal.type}{port.name};" for port in streams.outputs]
        for name, (ports, _) in self.beats.items():
            declared += [f"logic {name}_valid = 0;\nwire {name}_ready;\nlogic [{_bits(ports) - 1}:0] {name}_now;"]
            declared += [f"integer {name}_next = 0;"]
        go = "1'b1" if self.seed is None else "noise[{}] | noise[{}]"
        offers = [_offer(name, len(words), go.format(2 * s, 2 * s + 1))
                  for s, (name, (_, words)) in enumerate(self.beats.items())]  # fmt: skip
        total = self.outputs + sum(len(words) for _, words in self.beats.values())
        judged = "\n".join(f"            {line}".rstrip() for line in self._judged().split("\n"))
        end = "\n".join(f"                {line}" for line in self._end().split("\n"))
        take = f"        if (out_valid && out_ready) begin\n{judged}\n            taken = taken + 1;\n"
        take += f"            if (taken == {self.outputs}) begin\n{end}\n            end\n        end"
        clocked = [
            "always @(posedge clk) begin",
            "    noise <= {noise[30:0], noise[31] ^ noise[21] ^ noise[1] ^ noise[0]};",
            "    cycle = cycle + 1;",
            f"    if (cycle == {CycleSchedule(patience=self.patience).limit(total)}) begin",
            '        $display("FAIL the unit stopped: %0d outputs", taken);',
            "        $finish;",
            "    end",
            "    rst <= cycle < 3;",
            "    if (!rst) begin",
            *offers,
            take,
            f"        out_ready <= {go.format(30, 31)};",
            "    end",
            "end",
        ]
        seed = 1 if self.seed is None else (self.seed * 2654435761 + 0x9E3779B9) % (1 << 32) or 1
        return lines(
            "logic clk = 0;\nlogic rst = 1;\nlogic out_ready = 0;\nwire out_valid;\ninteger cycle = 0;\n"
            f"logic [31:0] noise = 32'h{seed:08x};  // decides when offers are made and results taken\n"
            "always #5 clk = ~clk;",
            self._memories(),
            "\n".join(declared),
            self._found(),
            self._instance(wires),
            "\n".join(clocked),
        )

    def _found(self) -> str:
        names = ", ".join(port.name for port in self.output_ports[::-1])
        return f"wire [{_bits(self.output_ports) - 1}:0] found = {{{names}}};"

    def _instance(self, wires: Mapping[str, str]) -> str:
        wired = ",\n".join(f"    .{port.name}({wires.get(port.name, port.name)})" for port in self.module.ports)
        return f"{self.module.name} dut (\n{wired}\n);"


def _offer(name: str, beats: int, go: str) -> str:
    return "\n".join(
        [
            f"        if (!{name}_valid || {name}_ready) begin",
            f"            {name}_valid <= {name}_next < {beats} && ({go});",
            f"            if ({name}_next < {beats} && ({go})) begin",
            f"                {name}_now <= {name}_beats[{name}_next];",
            f"                {name}_next <= {name}_next + 1;",
            "            end",
            "        end",
        ]
    )


def _bits(ports: tuple[Port, ...]) -> int:
    return sum(port.signal.width for port in ports)


def _slices(name: str, ports: tuple[Port, ...]) -> list[tuple[str, str]]:
    """Bit positions of each port in a beat, the first port in the lowest bits."""
    found, start = [], 0
    for port in ports:
        stop = start + port.signal.width
        found.append((port.name, f"{name}_now[{stop - 1}:{start}]"))
        start = stop
    return found


def _hex(ports: tuple[Port, ...], words: NDArray[np.uint32]) -> str:
    """Beats as hex words, one per line."""
    bits = _bits(ports)
    fields = ", ".join(f"{port.name}[{port.signal.width}]" for port in ports[::-1])
    text = [f"// {bits}-bit words: {fields}"]
    for row in words.tolist():
        value = start = place = 0
        for port in ports:
            for word in range(words_of(port)):
                value |= row[place + word] << (start + 32 * word)
            start += port.signal.width
            place += words_of(port)
        text.append(digits(value, bits))
    return "\n".join([*text, ""])
