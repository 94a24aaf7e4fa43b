"""Encoder blocks on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ptqsim import ptq, rtl
from ptqsim.cli.framework.app import main
from ptqsim.cli.rtl import encoder_block
from ptqsim.rtl import tools
from ptqsim.rtl.encoder.picture import block_svg
from tests.conftest import HAS_MODELS
from tests.rtl.encoder.cases import PRODUCTS, pixels, plan
from tests.rtl.needs import need
from tests.rtl.test_generate import lint

needs_models = pytest.mark.skipif(not HAS_MODELS, reason="the extra [models] is not installed")


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that stands for the small network."""
    import ptqsim as pq

    accumulators = {f"blocks.0.{name}": pq.Accumulator(32) for name in PRODUCTS}
    stub = SimpleNamespace(plan=plan(), accumulators=accumulators)
    monkeypatch.setattr(encoder_block, "load_calibrated", lambda _: stub)
    monkeypatch.setattr(encoder_block, "pixels_of", lambda *given: pixels(given[2]))
    path = tmp_path / "m.safetensors"
    path.touch()
    return path


def test_generate(network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    assert main(["rtl", "generate", "block", str(network), "--columns", "4", "-o", str(folder), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    listed = set(shown["files"])
    assert {"ptqsim_block.sv", "ptqsim_weights.hex", "ptqsim_program.hex", "files.f", "datapath.svg"} <= listed
    assert {path.name for path in folder.iterdir()} == listed
    manifest = json.loads((folder / "design.json").read_text())
    assert manifest["tops"] == ["ptqsim_block"]
    assert manifest["hardware"]["data"][0] == {"edge": "embedding", "base": 0, "words": 24, "bits": 10}
    assert (folder / "ptqsim_weights.hex").read_text().count("\n") == 6 * 18 + 36 + 48 + 48
    need("verilator")
    written = tools.find("verilator", "to lint").run(
        ["--lint-only", "-Wall", "-sv", "-f", "files.f", "--top-module", "ptqsim_block"], folder
    )
    assert written == ""


@pytest.mark.parametrize("what", ["block", "network"])
def test_simulate(what: str, network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need("iverilog")
    given = ["--images", "2", "--columns", "4", "--bits", "10", "--overflow", "saturate", "--engine", "iverilog"]
    assert main(["rtl", "simulate", what, str(network), *given, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(one["engine"], one["differ"]) for one in shown["engines"]] == [("iverilog", 0)]
    assert shown["engines"][0]["values"] > 2 * 400
    assert shown["hardware"]["block"] == (0 if what == "block" else None)
    assert {one["step"] for one in shown["steps"]} >= {f"blocks.0.{name}" for name in PRODUCTS}


def test_a_difference_is_exit_status_1(
    network: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need("iverilog")
    build: Callable[..., rtl.BlockSimulation] = rtl.simulate_block

    def spoiled(*given: object, **options: object) -> rtl.BlockSimulation:
        ran = build(*given, **options)
        ran.found["blocks.0.add1"][0, 1, 2] ^= 1
        return ran

    monkeypatch.setattr(rtl, "simulate_block", spoiled)
    assert main(["rtl", "simulate", "block", str(network), "--columns", "8", "--engine", "iverilog", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["differ"] == {"blocks.0.add1": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "block", "FILE", "--block", "3", "-o", "x"], "no encoder block 3; legal is 0"),
        (["simulate", "block", "FILE", "--block", "3"], "no encoder block 3; legal is 0"),
        (["simulate", "block"], "no network was named"),
        (["simulate", "network", "FILE", "--block", "0"], "a whole network was named: leave --block out"),
        (["simulate", "block", "FILE", "--depth", "8"], "--depth do not belong to it"),
        (["simulate", "softmax", "FILE"], "try block FILE"),
        (["simulate", "softmax", "--block", "1"], "no encoder block was named: leave --block out"),
        (["simulate", "block", "FILE", "--engine", "vcs"], "unknown engine 'vcs'"),
        (["simulate", "block", "FILE", "--overflow", "trap"], "traps, and a block has nobody to tell"),
        (["simulate", "block", "FILE", "-o", "x"], "ptqsim rtl generate block writes it"),
        (["generate", "block", "FILE", "--columns", "999", "-o", "x"], "columns must be an integer from 1 to 256"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    message: str,
    network: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["rtl", *(str(network) if one == "FILE" else one for one in arguments)]) == 2
    written = capsys.readouterr().err
    assert message in written
    assert len(written.strip().splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_a_missing_engine_is_said(
    network: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(*_: object, engine: str, **__: object) -> None:
        raise tools.MissingToolError("verilator", "to simulate")

    monkeypatch.setattr(rtl, "simulate_block", absent)
    assert main(["rtl", "simulate", "block", str(network), "--engine", "verilator"]) == 2
    assert "apt-get install verilator" in capsys.readouterr().err
    assert main(["rtl", "simulate", "block", str(network), "--engine", "all", "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["not_run"]) == 3


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled network without floats."""
    path = tmp_path_factory.mktemp("calibrated") / "m.safetensors"
    given = ["--integer-only", "--w-bits", "8", "--a-bits", "8", "--images", "8"]
    assert main(["calibrate", *given, "-o", str(path)]) == 0
    return path


@needs_models
@pytest.mark.slow
def test_a_block_of_the_bundled_network(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All codes on all edges of ten images."""
    need("verilator")
    given = ["block", str(calibrated), "--block", "0", "--images", "10", "--engine", "verilator", "--json"]
    capsys.readouterr()
    assert main(["rtl", "simulate", *given]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["engines"][0]["differ"] == 0
    assert shown["engines"][0]["values"] == 10 * 193_830
    assert sum(one["cycles"] for one in shown["steps"]) > 600_000


@needs_models
@pytest.mark.slow
def test_no_tool_warns_of_the_bundled_network(calibrated: Path) -> None:
    need("verilator")
    hardware = rtl.EncoderBlock(ptq.load_with_model(calibrated).required_plan())
    assert lint(hardware.module(), tools.find("verilator", "to lint")) == ""


@needs_models
@pytest.mark.slow
def test_the_picture_in_the_documentation_is_that_of_its_block(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    given = ["--integer-only", "--w-bits", "6", "--a-bits", "6", "--images", "8"]
    assert main(["calibrate", *given, "-o", str(path)]) == 0
    drawn = block_svg(rtl.EncoderBlock(ptq.load_with_model(path).required_plan()))
    picture = Path(__file__).parents[3] / "docs" / "images" / "rtl_block.svg"
    assert picture.read_text(encoding="utf-8") == drawn


@needs_models
@pytest.mark.slow
def test_the_whole_bundled_network(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the pixels to the logits, block after block through the same tiles and memories."""
    need("verilator")
    capsys.readouterr()
    assert main(["rtl", "simulate", "network", str(calibrated), "--engine", "verilator", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["engines"][0]["differ"] == 0


@needs_models
@pytest.mark.slow
def test_files_that_have_no_block(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A network with floats says how to make one without; Swin is refused by its name."""
    few = ["--images", "2", "-O", "n=4", "-O", "rounds=1"]
    for options, message in (
        ([], "has no integer-only network: calibrate it with ptqsim calibrate --integer-only"),
        (["--model", "swin_digits", "--integer-only"], "the network is a Swin Transformer"),
    ):
        path = tmp_path / f"{len(options)}.safetensors"
        assert main(["calibrate", *options, *few, "-o", str(path)]) == 0
        capsys.readouterr()
        assert main(["rtl", "simulate", "block", str(path)]) == 2
        assert message in capsys.readouterr().err
