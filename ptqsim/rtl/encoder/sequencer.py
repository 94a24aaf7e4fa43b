"""The top of a block: the sequencer, its address generators and memories, and the targets."""

from __future__ import annotations

from ptqsim.rtl.encoder.layout import WALKS, Layout
from ptqsim.rtl.encoder.memories import address_bits, constant_memory, data_memory
from ptqsim.rtl.encoder.memory_map import MemoryMap
from ptqsim.rtl.encoder.program import Program
from ptqsim.rtl.encoder.targets import add_targets
from ptqsim.rtl.encoder.walker import walker
from ptqsim.rtl.hardware.verilog import Module, inp, instance, lines, out, unused, wire


def sequencer(
    name: str, title: str, program: Program, places: MemoryMap, output: str, weights: list[int], columns: int
) -> Module:
    """The module of a block behind valid and ready: one input after the other in, and what lies in the memory out.

    Parameters
    ----------
    name : str
        Prefix of the modules.
    title : str
        What the block is.
    program : Program
        Targets and instructions.
    places : MemoryMap
        Where edges lie.
    output : str
        The edge that the block leaves.
    weights : list of int
        Contents of the weight memory.
    columns : int
        Columns of a tile.
    """
    count, bits = len(program.instructions), places.word_bits
    words = places.edge_words + count
    layout = Layout.of(program, max(words, places.weight_words))
    address, step = layout.address_bits, address_bits(count)
    generator = walker(f"{name}_walker", layout.depth, layout.count_bits, address)
    memory = data_memory(f"{name}_data", words, bits)
    constants = constant_memory(
        f"{name}_weights", weights, places.weight_bits, "codes of the weights, in the order of the memory map"
    )
    code = constant_memory(
        f"{name}_program", [layout.word(one) for one in program.instructions], layout.bits, "the instructions"
    )
    source, last = places.data[0], places.region(output)
    targets, parts = add_targets(program, name, columns, bits)
    body = lines(
        _states(source.words, last.base, last.words, words, count, address, step, bits),
        _fetched(layout),
        instance(code, "program", address="counter", word="instruction"),
        *(_walk(generator, walk) for walk in WALKS),
        _words(bits, places.weight_bits, address),
        instance(constants, "weights", address=_low("weight_address", address, len(weights)), word="weight"),
        instance(memory, "data", write="write", address=_low("write_address", address, words),
                 word="write_word",
                 a_address=_low("read_address", address, words), b_address=_low("data_address", address, words),
                 b_word="b_data"),
        _written(source.bits, bits, places.edge_words, address, step),
        *targets,
    )  # fmt: skip
    header = f"""
        {title}: {count} instructions on {len(program.targets)} targets, {words} words of data.

          memory[out(t)] = target(memory[a(t)], memory[b(t)] or weights[b(t)]), for every instruction

        {source.words} codes of the input are taken; the instructions run one after the other; then {last.words} codes
        of the output are sent, or with trace all words of the memory, of which the last {count} are the cycles of the
        instructions. Words are taken at a rising edge with valid and ready; trace must not change meanwhile.
    """
    ports = (
        inp("clk"),
        inp("rst", 0, "synchronous, active high"),
        inp("trace", 0, "send all words of the memory"),
        inp("in_valid", 0, "a code of the input is offered"),
        out("in_ready", 0, "it is taken at this edge"),
        inp("in_code", source.bits, "in C order, tokens before channels"),
        out("out_valid", 0, "a word is offered"),
        inp("out_ready", 0, "it is taken at this edge"),
        out("out_word", bits, "a code, an integer with its sign extended, or cycles"),
    )
    return Module(f"{name}_block", header, ports, body, (generator, code, constants, memory, *parts))


def _states(taken: int, first: int, sent: int, words: int, count: int, address: int, step: int, bits: int) -> str:
    return f"""
        // Input is taken, instructions run, their cycles are counted, words are sent.
        localparam [2:0] TAKE = 3'd0, FETCH = 3'd1, RUN = 3'd2, COUNT = 3'd3, SEND = 3'd4;
        logic [2:0] state;
        logic [{step - 1}:0] counter;  // of the instructions
        logic [{address - 1}:0] place;  // of the word that is taken or sent
        logic [{bits - 1}:0] cycles;
        wire load = state == FETCH;
        wire run = state == RUN;
        wire out_walk_valid;
        wire final_word = place == {address}'d{words - 1};
        wire final_output = place == {address}'d{first + sent - 1};
        wire sent_all = trace ? final_word : final_output;
        assign in_ready = state == TAKE;
        assign out_valid = state == SEND;
        always_ff @(posedge clk) begin
            if (rst) begin
                state <= TAKE;
                counter <= {step}'d0;
                place <= {address}'d0;
            end else
                case (state)
                    TAKE:
                        if (in_valid) begin
                            place <= place + {address}'d1;
                            if (place == {address}'d{taken - 1}) state <= FETCH;
                        end
                    FETCH: state <= RUN;
                    RUN: if (~out_walk_valid) state <= COUNT;
                    COUNT: begin
                        counter <= (counter == {step}'d{count - 1}) ? {step}'d0 : counter + {step}'d1;
                        place <= trace ? {address}'d0 : {address}'d{first};
                        state <= (counter == {step}'d{count - 1}) ? SEND : FETCH;
                    end
                    SEND:
                        if (out_ready) begin
                            place <= sent_all ? {address}'d0 : place + {address}'d1;
                            if (sent_all) state <= TAKE;
                        end
                    default: state <= TAKE;
                endcase
            // Cycles of an instruction; the greatest number stands for more.
            if (load) cycles <= {bits}'d1;
            else if (~&cycles) cycles <= cycles + {bits}'d1;
        end
    """


def _low(name: str, bits: int, words: int) -> str:
    """The bits of an address that a memory of `words` words has."""
    return name if address_bits(words) == bits else f"{name}[{address_bits(words) - 1}:0]"


def _fetched(layout: Layout) -> str:
    text, place = [f"wire [{layout.bits - 1}:0] instruction;"], 0
    for field in layout.fields:
        text.append(wire(field, f"instruction[{place + field.bits - 1}:{place}]"))
        place += field.bits
    return "\n".join(text)


def _walk(generator: Module, walk: str) -> str:
    side = "out_walk" if walk == "out" else walk
    text = [f"wire {walk}_address_last;", unused(f"{walk}_last", f"{walk}_address_last")]
    if walk == "b":
        text = ["wire b_last;"]
    names = {
        "base": f"{walk}_base", "limits": f"{walk}_limits", "jumps": f"{walk}_jumps", "address": f"{walk}_address",
        "row_last": f"{walk}_row_last", "last": "b_last" if walk == "b" else f"{walk}_address_last",
        "valid": f"{side}_valid", "advance": f"{walk}_advance",
    }  # fmt: skip
    declared = [
        f"wire {names['row_last']};",
        f"wire {walk}_advance;",
        f"wire [{_bits(generator) - 1}:0] {walk}_address;",
    ]
    if walk != "out":
        declared.append(f"wire {side}_valid;\nwire {walk}_ready;\nassign {walk}_advance = {walk}_valid & {walk}_ready;")
    return "\n".join([*text, *declared, instance(generator, walk, **names)])


def _bits(generator: Module) -> int:
    return next(port.signal.bits for port in generator.ports if port.name == "address")


def _words(bits: int, weight_bits: int, address: int) -> str:
    widened = f"{{{bits - weight_bits}'d0, weight}}" if bits > weight_bits else "weight"
    return f"""
        // Words that are read: at the places of the address generators, or what is sent.
        wire [{address - 1}:0] read_address = (state == SEND) ? place : a_address;
        wire [{bits - 1}:0] a_word;
        wire [{bits - 1}:0] b_data;
        wire [{weight_bits - 1}:0] weight;
        wire [{address - 1}:0] weight_address = b_constant ? b_address : {address}'d0;
        wire [{address - 1}:0] data_address = b_constant ? {address}'d0 : b_address;
        wire [{bits - 1}:0] b_word = b_constant ? {widened} : b_data;
        wire unused_words = &{{1'b0, a_word, b_word, weight_address, data_address, read_address, write_address}};
        assign out_word = a_word;
        wire o_valid;
        wire o_ready = run & out_walk_valid;
        wire [{bits - 1}:0] o_word;
        assign out_advance = o_valid & o_ready;
    """


def _written(source: int, bits: int, counters: int, address: int, step: int) -> str:
    taken = f"{{{bits - source}'d0, in_code}}" if bits > source else "in_code"
    index = f"{address}'(counter)" if address > step else f"counter[{address - 1}:0]"
    return f"""
        // Words that are written: the input, what comes out of a target, and the cycles of an instruction.
        wire write = ((state == TAKE) & in_valid) | out_advance | (state == COUNT);
        wire [{address - 1}:0] write_address =
            (state == TAKE) ? place : (state == COUNT) ? {address}'d{counters} + {index} : out_address;
        wire [{bits - 1}:0] write_word = (state == TAKE) ? {taken} : (state == COUNT) ? cycles : o_word;
    """
