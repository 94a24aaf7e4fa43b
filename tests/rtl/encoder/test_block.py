"""An encoder block in hardware beside the simulator: every code and every integer on its edges."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import ptqsim as pq
from ptqsim import integer_only as io
from ptqsim import rtl, units
from ptqsim.rtl import EncoderBlock, tools
from ptqsim.rtl.encoder.layout import Layout
from ptqsim.rtl.encoder.loops import loops_of
from ptqsim.rtl.encoder.memory_map import weight_words
from ptqsim.rtl.encoder.picture import block_svg
from ptqsim.rtl.encoder.run import run_block
from tests.rtl.encoder.cases import PRODUCTS, pixels, plan
from tests.rtl.needs import need
from tests.rtl.test_generate import lint

NARROW = pq.Accumulator(9, "saturate")


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 3, 5), (4, 1, 2), (2, 2, 2)])
def test_loops_of_every_transposition(shape: tuple[int, ...]) -> None:
    """Rows and columns of any grouping of the axes; the jumps of the counters give the same addresses."""
    for axes, cut in product(permutations(range(3)), range(4)):
        moved = np.arange(7, 7 + np.prod(shape)).reshape(shape).transpose(axes)
        table = moved.reshape(int(np.prod(moved.shape[:cut])), -1)
        found = loops_of(table)
        assert np.array_equal(found.addresses(), table.reshape(-1))
        walked, address = [], found.base
        counts = [0] * len(found.limits)
        for _ in range(found.length):
            walked.append(address)
            going = next((i for i, count in enumerate(counts) if count < found.limits[i]), None)
            if going is not None:
                counts[: going + 1] = [*([0] * going), counts[going] + 1]
                address += found.jumps[going]
        assert walked == table.reshape(-1).tolist()


@pytest.mark.parametrize("table", [[[0, 1, 3]], [[0, 1], [2, 3], [5, 6]], [[0, 1], [1, 3]], [[0, 2, 4, 5]]])
def test_other_orders_are_refused(table: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="nested loops"):
        loops_of(np.array(table))


def test_the_memory_map() -> None:
    """Regions side by side, in order; a rearrangement has the addresses of its source."""
    block = EncoderBlock(plan())
    ends = [0]
    for one in block.places.data:
        assert one.base == ends[-1]
        ends.append(one.base + one.words)
    assert ends[-1] == block.places.edge_words == block.words - len(block.program.instructions)
    heads, whole = (block.places.addresses[f"blocks.0.attn.{name}"] for name in ("k.heads", "qkv"))
    assert heads[1, 2].tolist() == whole[2, 9:12].tolist()
    assert len(weight_words(block.part)) == sum(one.words for one in block.places.weights)
    layout = Layout.of(block.program, block.words)
    words = {layout.word(one) for one in block.program.instructions}
    assert len(words) == len(block.program.instructions)
    assert max(words).bit_length() <= layout.bits


@pytest.mark.parametrize(
    ("block", "columns", "seed", "accumulators"),
    [(0, 4, None, None), (0, 32, 3, None), (0, 1, None, "narrow"), (None, 5, 4, None)],
)
def test_every_edge(block: int | None, columns: int, seed: int | None, accumulators: str | None) -> None:
    """Three images; columns that divide nothing, gaps in the streams, registers that overflow; all of the network."""
    need("iverilog")
    chosen = None if accumulators is None else {f"blocks.0.{name}": NARROW for name in PRODUCTS}
    hardware = EncoderBlock(plan(), block, columns, chosen)
    ran = rtl.simulate_block(hardware, pixels(3), engine="iverilog", seed=seed)
    assert ran.equal, ran.differing
    assert ran.found.keys() == hardware.part.edges.keys()
    assert (ran.cycles == ran.cycles[0]).all()
    if chosen is not None:
        assert np.abs(ran.found["blocks.0.mlp.fc2"]).max() == 1 << 8  # it saturates
    macs = {one.step: one.macs for one in ran.steps()}
    assert macs["blocks.0.mlp.fc1"] == 4 * 6 * 8
    assert macs["blocks.0.attn.matmul_qk"] == 2 * 4 * 4 * 3
    assert all(one.utilization < 1 for one in ran.steps())


@pytest.mark.parametrize("engine", ["cxxrtl", "verilator"])
def test_other_engines(engine: str) -> None:
    need(*(("yosys", "g++") if engine == "cxxrtl" else (engine,)))
    ran = rtl.simulate_block(EncoderBlock(plan(), columns=4), pixels(2), engine, seed=5)
    assert ran.equal, ran.differing


def test_the_output_alone() -> None:
    """Without trace only the codes of the output are sent, of one image after the other."""
    need("iverilog")
    hardware = EncoderBlock(plan(), columns=4)
    wanted = rtl.encoder.run.expected_edges(hardware, pixels(2))
    simulated = rtl.build(hardware.module(), "iverilog")
    beats = {"in": {"in_code": wanted[hardware.part.source].reshape(-1)}}
    schedule = rtl.CycleSchedule(patience=200)
    found = simulated.stream(beats, 48, {"trace": 0}, schedule)["out_word"]
    assert np.array_equal(found, wanted[hardware.part.output].reshape(-1))


def test_blocks_one_after_the_other() -> None:
    """The second block of two, and what the first leaves."""
    need("iverilog")
    ran = rtl.simulate_block(EncoderBlock(plan(2), 1, columns=8), pixels(2), engine="iverilog")
    assert ran.equal, ran.differing
    assert ran.hardware.part.source == "blocks.0.add2"


def test_operands_alike_share_a_tile() -> None:
    program = EncoderBlock(plan(2), None).program
    tiles = [one for one in program.targets if isinstance(one, rtl.encoder.program.TileTarget)]
    assert [one.name for one in tiles] == ["uniform", "uniform_1", "twin_softmax", "twin_gelu"]
    assert tiles[2].unit.runtime_shift
    assert {one.shifts[0] for one in program.instructions if one.step.endswith("matmul_pv")} == {3, 4}
    depths = [one.unit.depth for one in tiles]
    assert depths == [12, 6, 4, 8]


@pytest.mark.parametrize("tool", ["verilator", "iverilog", "yosys"])
def test_no_tool_warns(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need(tool)
    module = EncoderBlock(plan(), None, columns=3).module()
    assert lint(module, tools.find(tool, "to lint")) == ""


def test_the_picture_names_every_memory_and_target() -> None:
    """And is drawn anew with the widths of its block."""
    for block in (0, None):
        hardware = EncoderBlock(plan(), block)
        drawn = block_svg(hardware)
        ElementTree.fromstring(drawn)
        for text in ("tile uniform", "tile twin gelu", "LayerNorm", f"{hardware.words:,} x 24 bits", "2 of them"):
            assert f">{text}<" in drawn, text
        assert (">sum<" in drawn) == (block is None)


def _with(**units_of: units.Rescale | units.SoftmaxUnit) -> io.Plan:
    """The small network with other units."""
    steps = [
        replace(step, units=(units_of[step.name.rpartition(".")[2]],) * len(step.units))
        if isinstance(step, io.Apply) and step.name.rpartition(".")[2] in units_of
        else step
        for step in plan().steps
    ]
    return replace(plan(), steps=tuple(steps))


def test_refusals() -> None:
    cases = [
        (lambda: EncoderBlock(plan(), 1), "no encoder block 1; legal is 0"),
        (lambda: EncoderBlock(plan(2), 7), "legal is 0 to 1"),
        (lambda: EncoderBlock(plan(), columns=0), "columns must be an integer from 1 to 256"),
        (lambda: EncoderBlock(plan(), name="A"), "cannot prefix modules"),
        (lambda: EncoderBlock(plan(), accumulators={"blocks.0.mlp.fc1": pq.Accumulator(20, "trap")}), "traps"),
        (
            lambda: EncoderBlock(plan(), accumulators={"blocks.0.mlp.fc1": pq.Accumulator(20, order=pq.Tree(4))}),
            "one product after the other",
        ),
        (
            lambda: EncoderBlock(_with(softmax=units.RunningSoftmax.from_real(0.05, pq.TwinSoftmax(5, 4), 4, 12))),
            "no hardware is generated for RunningSoftmax",
        ),
    ]
    for make, message in cases:
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(TypeError, match="plan"):
        EncoderBlock(None)  # type: ignore[arg-type]
    hardware = EncoderBlock(plan())
    with pytest.raises(ValueError, match="legal is"):
        run_block(None, hardware, np.zeros((1, 3, 6), np.int64))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="legal are integers"):
        run_block(None, hardware, np.zeros((1, 4, 6)))  # type: ignore[arg-type]


def test_windows_are_refused() -> None:
    swin = replace(plan(), steps=tuple(_renamed(step) for step in plan().steps))
    with pytest.raises(ValueError, match="Swin Transformer, whose windows are not generated"):
        EncoderBlock(swin)


def _renamed(step: io.Step) -> io.Step:
    def named(name: str) -> str:
        return f"layers.0.{name}" if name.startswith("blocks.") else name

    changes = {"name": named(step.name)}
    for field in ("left", "right", "source"):
        if getattr(step, field, None):
            changes[field] = named(getattr(step, field))
    if isinstance(step, io.Apply | io.Combine):
        changes["sources"] = tuple(map(named, step.sources))  # type: ignore[assignment]
    return replace(step, **changes)
