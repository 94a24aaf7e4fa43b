"""The commands on a file with an integer-only network."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_model

from ptqsim.cli.framework import app
from ptqsim.cli.network import calibrate
from tests.ptq.test_commands import Run


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("integer_only") / "m.safetensors"
    options = ["--softmax", "softmax,entries=16,table_bits=8", "--gelu", "bits=9", "--layer-norm", "precision=12"]
    options += ["--residual-bits", "12", "--residual-scale", "power_of_two"]
    arguments = ["calibrate", "--method", "percentile", "--integer-only", *options, "--images", "4", "-o", str(path)]
    assert app.main(arguments) == 0
    return path


def test_evaluate_and_simulate(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {
        mode: Run(capsys, "evaluate", calibrated, "--mode", mode, "--limit", 50).result
        for mode in ("integer", "integer_only")
    }
    assert abs(found["integer_only"]["top1"] - found["integer"]["top1"]) <= 6
    assert found["integer_only"]["kl"] < found["integer"]["kl"] + 0.05
    narrow = Run(
        capsys, "simulate", calibrated, "--mode", "integer_only", "--bits", 40, "--limit", 5, "--layer", "head=9"
    )
    assert narrow.result["mode"] == "integer_only"
    assert narrow.result["layers"]["head"]["overflow"]["events"] > 0
    assert narrow.result["layers"]["blocks.0.mlp.fc1"]["overflow"]["events"] == 0
    assert Run(capsys, "simulate", calibrated, "--mode", "float").status == 2


def test_verify_recomputes_units_and_images(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(capsys, "verify", calibrated, "--outputs", 100, "--images", 2, "--whole", 0)
    assert run.status == 0
    assert run.result["mismatches"] == 0
    assert {"blocks.0.norm1", "blocks.5.attn.softmax", "blocks.5.mlp.act"} <= run.result["layers"].keys()


def test_bounds_of_units(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = Run(capsys, "bounds", calibrated, "--images", 0).result["units"]
    norm = found["blocks.0.norm1"]
    assert norm["kind"] == "layer_norm"
    assert norm["widths"]["root"] == 12
    assert norm["widths"][norm["widest"]] == max(norm["widths"].values()) <= 63


def test_export_as_c(calibrated: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = Run(capsys, "export", calibrated, "--c", tmp_path / "c")
    assert run.status == 0
    assert run.result["files"].keys() == {path.name for path in (tmp_path / "c").iterdir()}
    refused = Run(capsys, "export", calibrated, "--c", tmp_path / "c", "--onnx", tmp_path / "m.onnx")
    assert refused.status == 2
    assert "leave one of them out" in refused.errors


def test_vectors_of_a_unit_of_the_network(calibrated: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    given = ["vectors", calibrated, "--unit"]
    for name, group in (("blocks.0.norm1", 0), ("blocks.1.attn.softmax", 2), ("blocks.5.add2", 0)):
        run = Run(capsys, *given, name, "--group", group, "--rows", 20, "-o", tmp_path / name)
        assert run.result["rows"] == 20, name
        assert Run(capsys, "vectors", "--check", tmp_path / name).result["ok"]
    refused = Run(capsys, *given, "blocks.0.norm3", "-o", tmp_path / "x")
    assert (refused.status, "blocks.0.norm3" in refused.errors) == (2, True)
    refused = Run(capsys, *given, "blocks.0.norm1", "--group", 1, "-o", tmp_path / "x")
    assert "has 1 units, got group 1" in refused.errors


def test_export_as_integer_onnx(calibrated: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    given = ["export", calibrated, "--onnx", tmp_path / "m.onnx", "--mode"]
    run = Run(capsys, *given, "integer_only", "--check", 2)
    assert run.status == 0, run.errors
    assert run.result["passed"]
    assert run.result["check"]["logits"] == 200
    assert set(run.result["export"]["products"].values()) == {"MatMulInteger"}
    assert not {"QuantizeLinear", "DequantizeLinear"} & run.result["export"]["operators"].keys()
    for options, says in (
        (["integer"], "integer_only"), (["integer_only", "--other-formats", "float"], "leave --other-formats out"),
    ):  # fmt: skip
        refused = Run(capsys, *given, *options)
        assert refused.status == 2
        assert says in refused.errors


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--softmax", "hardmax"], "hardmax"),
        (["--softmax", "softmax,entries"], "KEY=VALUE: try --softmax softmax,entries=16"),
        (
            ["--softmax", "softmax,entries=abc"],
            "--softmax softmax,entries=abc: entries must be an integer from 1 to",
        ),
        (["--softmax", "tflite_softmax,score_bits=9"], "score_bits must be an integer from 2 to 8, got 9"),
        (["--gelu", "shift_gelu,shift=99"], "--gelu shift_gelu,shift=99: shift must be an integer from 1 to 30"),
        (["--layer-norm", "steps=3"], "steps"),
        (["--layer-norm", "precision=abc"], "--layer-norm precision=abc: precision must be an integer from 4 to 28"),
        (["--residual-bits", "17"], "residual_bits"),
        (["--residual-scale", "two"], "legal are 'free', 'power_of_two', 'one', and a positive number"),
    ],
)
def test_wrong_options_are_one_line(
    options: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def load_network(*_: object) -> None:
        raise AssertionError("nothing is loaded, and so nothing calibrated")

    monkeypatch.setattr(calibrate, "load_network", load_network)
    assert app.main(["calibrate", "--integer-only", *options, "-o", str(tmp_path / "x")]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--residual-bits", "8", "--residual-scale", "0.0001"], "residual 'embedding' of 8 bits"),
        (["--softmax", "softmax,table_bits=4"], "give entries of 7 bits or more"),
    ],
)
def test_what_calibration_finds_too_narrow_is_one_line(
    options: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = ["calibrate", "--method", "percentile", "--images", "2", "--integer-only", *options]
    assert app.main([*given, "-o", str(tmp_path / "x.safetensors")]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.strip().count("\n") == 0
    assert not (tmp_path / "x.safetensors").exists()


def test_a_module_without_an_integer_unit_is_named_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import timm

    weights = tmp_path / "talking.safetensors"
    save_model(timm.create_model("xcit_nano_12_p8_224", img_size=32), weights)
    given = ["calibrate", "--model", "xcit_nano_12_p8_224", "--img-size", "32", "--checkpoint", str(weights)]
    given += ["--data", "digits", "--method", "percentile", "--images", "1"]
    assert app.main([*given, "--integer-only", "-o", str(tmp_path / "x.safetensors")]) == 2
    told = capsys.readouterr().err
    assert "is a Xcit, for which there is no integer unit" in told
    assert "run it in mode 'integer'" in told
    assert told.strip().count("\n") == 0
    assert not (tmp_path / "x.safetensors").exists()
