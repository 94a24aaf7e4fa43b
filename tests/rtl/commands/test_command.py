"""`ptqsim rtl`, as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptqsim.cli.framework.app import main
from ptqsim.rtl import tools
from ptqsim.rtl.simulation.others import run_bench
from tests.rtl.needs import need

SMALL = ["--a-bits", "4", "--shift", "2", "--bits", "10", "--depth", "7"]


def test_generate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rtl", "generate", *SMALL, "--columns", "2", "-o", str(tmp_path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {"ptqsim_tile.sv", "files.f", "design.json"} <= set(shown["files"])
    assert {path.name for path in tmp_path.iterdir()} == set(shown["files"])


def test_generate_with_the_units_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All in one folder, and nothing to complain of in any of them."""
    need("verilator")
    beside = ["--requantize", "0.0117", "--rounding", "half_even", "--bias-bits", "9", "--pwlq"]
    assert main(["rtl", "generate", *SMALL, *beside, "-o", str(tmp_path)]) == 0
    manifest = json.loads((tmp_path / "design.json").read_text())
    assert manifest["tops"] == ["ptqsim_dot", "ptqsim_requantizer", "ptqsim_pwlq_element"]
    assert manifest["requantizer"]["acc_bits"] == 10
    assert manifest["requantizer"]["requantizer"]["rounding"] == "half_even"
    verilator = tools.find("verilator", "to lint")
    for top in manifest["tops"]:
        written = verilator.run(
            ["--lint-only", "-Wall", "-Wno-MULTITOP", "-sv", "-f", "files.f", "--top-module", top], tmp_path
        )
        assert written == ""


CORRECTED = [
    "--a-bits", "3", "--a-unsigned", "--a-zero-point", "5", "--b-zero-point", "-2", "--zero-point", "correction",
    "--bits", "9", "--depth", "7",
]  # fmt: skip


def test_generate_with_a_multiplier_per_channel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Codes of the left operand's format: unsigned, with its zero point."""
    factors = ["--requantize", "0.0117,0.03,0.5", "--multiplier-bits", "8"]
    assert main(["rtl", "generate", *CORRECTED, *factors, "--columns", "2", "-o", str(tmp_path)]) == 0
    manifest = json.loads((tmp_path / "design.json").read_text())
    assert manifest["tops"] == ["ptqsim_dot", "ptqsim_tile", "ptqsim_channel_requantizer"]
    assert len(manifest["requantizer"]["requantizers"]) == 3
    assert (manifest["requantizer"]["signed"], manifest["requantizer"]["zero_point"]) == (False, 5)
    assert main(["rtl", "generate", *CORRECTED, "--requantize", "0.1,x", "-o", str(tmp_path)]) == 2
    assert "try 0.0117" in capsys.readouterr().err


@pytest.mark.parametrize("columns", [[], ["--columns", "3"]], ids=["dot", "tile"])
def test_simulate_zero_points(tmp_path: Path, columns: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """On Icarus, and from the files of the bench alone."""
    need("iverilog")
    asked = ["--engine", "iverilog", "--rows", "4", "--cols", "3", *columns, "-o", str(tmp_path), "--json"]
    assert main(["rtl", "simulate", *CORRECTED, *asked]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(row["engine"], row["outputs"], row["differ"]) for row in shown["engines"]] == [("iverilog", 12, 0)]
    assert shown["unit"]["accumulator"]["zero_point"] == "correction"
    files = [name for name in (tmp_path / "files.f").read_text().split() if name != "bench.sv"]
    assert "PASS" in run_bench(tools.find("iverilog", "to test"), tmp_path, files)


def test_simulate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need("yosys", "g++")
    arguments = ["rtl", "simulate", *SMALL, "--rows", "6", "--cols", "4", "--json"]
    assert main([*arguments, "-o", str(tmp_path)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(row["engine"], row["outputs"], row["differ"]) for row in shown["engines"]] == [("cxxrtl", 24, 0)]


@pytest.mark.parametrize("columns", [None, 3])
def test_the_bench_passes_and_notices_a_wrong_expectation(tmp_path: Path, columns: int | None) -> None:
    """On Icarus, from the files alone."""
    need("yosys", "g++", "iverilog")
    tile = [] if columns is None else ["--columns", str(columns)]
    assert main(["rtl", "simulate", *SMALL, *tile, "--rows", "5", "--cols", "4", "-o", str(tmp_path)]) == 0
    files = [name for name in (tmp_path / "files.f").read_text().split() if name != "bench.sv"]
    icarus = tools.find("iverilog", "to test")
    assert "PASS" in run_bench(icarus, tmp_path, files)
    lines = (tmp_path / "expected.hex").read_text().split("\n")
    lines[3] = f"{int(lines[3], 16) ^ 1:0{len(lines[3])}x}"
    (tmp_path / "expected.hex").write_text("\n".join(lines))
    assert "FAIL 1 of" in run_bench(icarus, tmp_path, files)


def test_prove(capsys: pytest.CaptureFixture[str]) -> None:
    need("z3")
    assert main(["rtl", "prove", *SMALL, "--no-circuits", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert all(claim["outcome"] == ("proven" if claim["true"] else "refuted") for claim in shown["claims"])
    assert len(shown["counterexamples"]) == 2


def test_prove_corrections(capsys: pytest.CaptureFixture[str]) -> None:
    need("z3")
    assert main(["rtl", "prove", *CORRECTED, "--no-circuits", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    found = {claim["name"]: claim["outcome"] for claim in shown["claims"] if "correction" in claim["name"]}
    assert list(found.values()) == ["proven", "proven", "refuted"]
    assert len(shown["counterexamples"]) == 2


def test_synthesize(capsys: pytest.CaptureFixture[str]) -> None:
    need("abc")
    arguments = ["--designs", "uniform,softmax", "--code-bits", "3", "--shifts", "2", "--bits", "8"]
    assert main(["rtl", "synthesize", *arguments, "--json"]) == 0
    points = json.loads(capsys.readouterr().out)["points"]
    assert [one["point"]["design"] for one in points] == ["uniform", "softmax"]
    assert all(one["gates"]["transistors"] > 0 and one["gates"]["flow"] for one in points)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "--a-format", "log3", "-o", "x"], "unknown --a-format 'log3'"),
        (["generate", "--a-format", "e5m2", "--b-format", "e5m2", "-o", "x"], "the exact result could need 71 bits"),
        (["simulate", "--engine", "icarus"], "unknown engine 'icarus'"),
        (["simulate", "--a-format", ""], "unknown --a-format ''"),
        (["prove", "--timeout", "inf"], "'--timeout'"),
        (["synthesize", "--timeout", "nan"], "'--timeout'"),
        (["synthesize", "--code-bits", "four"], "try --code-bits 4,8"),
    ],
)
def test_wrong_input(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["rtl", *arguments]) == 2
    assert message in capsys.readouterr().err
