"""The commands that know networks, from the command line to the numbers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ptqsim.cli.framework import app


class Run:
    """One call of the command line with ``--json``: status, parsed result, stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> None:
        self.status = app.main([*map(str, arguments), "--json"])
        told = capsys.readouterr()
        self.errors = told.err
        self.result: dict[str, Any] = json.loads(told.out) if told.out else {}


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("calibrated") / "m.safetensors"
    arguments = ["calibrate", "--w-bits", "6", "--a-bits", "6", "--images", "4", "-O", "n=10", "-O", "rounds=1"]
    assert app.main([*arguments, "--seed", "3", "-o", str(path)]) == 0
    return path


def test_calibrate_writes_what_it_reports(calibrated: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    again = Run(
        capsys, "calibrate", "--w-bits", 6, "--a-bits", 6, "--images", 4, "-O", "n=10", "-O", "rounds=1",
        "--seed", 3, "-o", tmp_path / "again.safetensors",
    )  # fmt: skip
    assert again.status == 0
    assert again.result["info"]["options"]["n"] == 10
    assert again.result["info"]["data"] == "digits/calibration"
    assert again.result["layers"]["blocks.0.attn.matmul_pv"]["a"][0]["kind"] == "twin_softmax"
    assert (tmp_path / "again.safetensors").read_bytes() == calibrated.read_bytes()


def test_evaluate_in_every_mode(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = {
        mode: Run(capsys, "evaluate", calibrated, "--mode", mode, "--limit", 60).result
        for mode in ("float", "fake_quant", "integer")
    }
    found = {mode: result["top1"] for mode, result in results.items()}
    plain = Run(capsys, "evaluate", "--model", "vit_digits", "--limit", 60)
    assert plain.result["top1"] == found["float"]
    assert abs(found["integer"] - found["fake_quant"]) < 10
    assert min(found.values()) > 40
    assert "kl" not in results["float"]
    assert results["fake_quant"]["kl"] == pytest.approx(results["integer"]["kl"], rel=0.2)
    assert all(results[mode]["kl"] > results[mode]["kl_standard_error"] > 0 for mode in ("fake_quant", "integer"))
    assert results["integer"]["agreement"] > 60
    alone = Run(capsys, "evaluate", calibrated, "--limit", 60, "--no-compare").result
    assert alone == {name: value for name, value in results["integer"].items() if name in alone}
    assert "kl" not in alone


def test_simulate_narrow_and_wide(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = Run(capsys, "simulate", calibrated, "--bits", 40, "--limit", 10)
    same = {"logits": 0, "of": 1000, "predictions": 0, "images": 10, "largest": 0.0}
    assert wide.result["difference"] == same | {"divergence": {"value": 0.0, "standard_error": 0.0}}
    assert all(layer["overflow"]["events"] == 0 for layer in wide.result["layers"].values())
    narrow = Run(
        capsys, "simulate", calibrated, "--bits", 40, "--overflow", "saturate", "--limit", 10, "--layer", "head=9"
    )
    assert narrow.result["layers"]["head"]["bits"] == 9
    assert narrow.result["layers"]["head"]["overflow"]["events"] > 0
    assert narrow.result["layers"]["blocks.0.mlp.fc1"]["overflow"]["events"] == 0
    assert narrow.result["difference"]["logits"] > 0
    trap = Run(capsys, "simulate", calibrated, "--bits", 10, "--overflow", "trap", "--limit", 2)
    assert trap.status == 1
    assert "layer 'patch_embed.proj'" in trap.errors


def test_simulate_a_profile(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The uniform codes of Base PTQ are legal in TFLite, whose 32 bits do not overflow here."""
    path = tmp_path / "base.safetensors"
    few = ["--images", 4, "-O", "n=10", "-O", "rounds=1"]
    assert Run(capsys, "calibrate", "--method", "base_ptq", "--w-bits", 8, "--a-bits", 8, *few, "-o", path).status == 0
    run = Run(capsys, "simulate", path, "--profile", "TFLITE", "--limit", 5)
    assert run.result["profile"] == "TFLITE"
    assert run.result["accumulator"]["zero_point"] == "correction"
    assert run.result["difference"]["logits"] == 0


def test_verify_counts_every_layer(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(capsys, "verify", calibrated, "--outputs", 150, "--images", 2, "--bits", 14, "--overflow", "saturate")
    assert run.status == 0
    assert run.result["mismatches"] == 0
    assert len(run.result["layers"]) == 38
    assert run.result["outputs"] >= 38 * 150


def test_bounds_of_every_layer(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layers = Run(capsys, "bounds", calibrated, "--images", 8).result["layers"]
    assert len(layers) == 38
    widths = {name: bound["bits"] for name, bound in layers["blocks.0.attn.matmul_pv"]["bounds"].items()}
    assert widths["calibrated"] <= widths["row_stochastic"] <= widths["datatype"]
    assert layers["head"]["bounds"]["weight_aware"]["kind"] == "theorem"


def test_train_resumes_and_writes_its_recipe(tmp_path: Path) -> None:
    """A real process, interrupted by a real signal."""
    command = [
        sys.executable, "-m", "ptqsim.cli", "train", "--images", str(256 * 2), "--float32", "--limit", "20",
        "--state", str(tmp_path / "state.safetensors"), "-o", str(tmp_path / "trained.safetensors"), "--json",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(8)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    if process.returncode == 130:  # unless the machine was done, or not yet begun, by then
        assert "the same command resumes it" in errors or "interrupted" in errors
        assert "Traceback" not in errors
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    result = json.loads(finished.stdout)
    assert result["recipe"]["images"] == 256 * 2
    assert (tmp_path / "trained.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["calibrate", "--model", "vit_digit", "-o", "x"], "vit_digits"),
        (["calibrate", "--method", "ptq4vt", "-o", "x"], "ptq4vit"),
        (["calibrate", "--data", "/nowhere", "-o", "x"], "no data folder at /nowhere"),
        (["calibrate", "--w-bits", "1", "-o", "x"], "w_bits must be an integer from 2 to 16, got 1; try 8, 6 or 4"),
        (["calibrate", "-O", "gradient", "-o", "x"], "legal is NAME=VALUE"),
        (["calibrate", "-O", "gradient=sample", "-o", "x"], "sampled"),
        (["calibrate", "--device", "cudda", "-o", "x"], "try cpu"),
        (["calibrate", "--device", "meta", "-o", "x"], "try cpu"),
        (["calibrate", "--images", "1001", "-o", "x"], "has 1000"),
        (["calibrate", "--model", "vit_tiny_patch16_224", "-o", "x"], "--pretrained"),
        (["calibrate", "--checkpoint", "/no/file", "-o", "x"], "no checkpoint at /no/file"),
        (["evaluate", "/no/file"], "ptqsim calibrate -o"),
        (["verify", "/no/file"], "ptqsim calibrate -o"),
        (["bounds"], "--depth"),
        (["train", "--model", "resnet", "-o", "x"], "vit_digits"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.main(arguments) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--bits", "1"], "bits"),
        (["--bits", "64"], "bits"),
        (["--overflow", "clip"], "saturate"),
        (["--order", "tre:4"], "tree:LANES"),
        (["--order", "split:4"], "split:TILE:INNER_BITS"),
        (["--alignment", "defered"], "deferred"),
        (["--layer", "head=x"], "NAME=BITS"),
        (["--layer", "head=\N{SUPERSCRIPT TWO}"], "NAME=BITS"),
        (["--layer", "heat=9"], "'head'"),
        (["--data", "/nowhere"], "no data folder"),
        (["--profile", "AVX2"], "unknown profile 'AVX2'"),
        (["--profile", "TFLITE", "--bits", "20"], "leave out --bits"),
        (["--profile", "AVX2_U8S8"], "layer patch_embed.proj: AVX2_U8S8 takes unsigned uniform codes"),
    ],
)
def test_wrong_datapaths_are_one_line(
    calibrated: Path, option: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["simulate", str(calibrated), "--limit", "2", *option]) == 2
    told = capsys.readouterr()
    assert words in told.err.splitlines()[-1]
    assert "Traceback" not in told.err


def test_packages_that_take_long_are_imported_where_they_are_used() -> None:
    slow = {"onnx", "onnxruntime", "onnxscript", "timm", "torchvision", "transformers", "scipy.optimize", "sklearn"}
    code = (
        "import sys; from ptqsim import ptq; from ptqsim.cli.network import calibrate, evaluate, export; "
        f"print(*sorted({slow} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
