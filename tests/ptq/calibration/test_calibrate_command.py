"""``ptqsim calibrate``: its flags reach the method, and wrong ones are one line."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import torch

from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.cli.network import calibrate as command
from tests.ptq.conftest import tiny_vit
from tests.ptq.names import METHODS

FEW = ["--images", "2", "--w-bits", "4", "--a-bits", "4"]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model name stands for a small one."""
    monkeypatch.setattr(command, "load_network", lambda *args: tiny_vit())


def run(capsys: pytest.CaptureFixture[str], path: Path, *arguments: str) -> dict:  # type: ignore[type-arg]
    assert app.main(["calibrate", *FEW, *arguments, "-o", str(path), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_flags_are_options_of_the_method(tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.safetensors"
    info = run(capsys, path, "--method", "base_ptq", "-O", "n=3", "--paradigm", "sequential", "--bias-correction")[
        "info"
    ]
    assert info["options"] == {
        "alpha": 0.5, "beta": 1.2, "n": 3, "rounds": 1, "metric": "cosine",
        "paradigm": "sequential", "bias_correction": True,
    }  # fmt: skip
    info = run(capsys, path, "--method", "liu2021", "-O", "n=3", "--no-bias-correction")["info"]
    assert info["options"]["bias_correction"] is False
    assert info["options"]["paradigm"] == "sequential"
    loaded = ptq.load(path, tiny_vit())
    assert loaded.info["method"] == "liu2021"


def test_the_released_variant(tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.safetensors"
    result = run(capsys, path, "--variant", "released", "-O", "n=3")
    assert result["layers"]["blocks.0.attn.matmul_pv"]["a"][0]["kind"] == "released_twin_softmax"
    assert result["info"]["options"]["alpha"] == 0.01
    loaded = ptq.load(path, tiny_vit())
    loaded.mode = "integer"
    with pytest.raises(ValueError, match="no shift aligns it"):
        loaded(torch.zeros(1, 3, 32, 32))


def test_mixed_precision(tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.safetensors"
    arguments = [
        "--method",
        "percentile",
        "--mixed-precision",
        "nuclear_norm",
        "-M",
        "solver=milp",
        "-M",
        "widths=[3,4,5]",
    ]
    result = run(capsys, path, *arguments, "--model-size", "0.014")
    mixed = result["info"]["mixed_precision"]
    assert mixed["options"]["solver"] == "milp"
    assert mixed["options"]["widths"] == [3, 4, 5]
    assert mixed["model_size"] <= 0.014 < mixed["uniform_size"]
    widths = {
        f["bits"] for name in ("qkv", "matmul_qk", "proj") for f in result["layers"][f"blocks.0.attn.{name}"]["a"]
    }
    assert widths == {mixed["bits"]["blocks.0.attn"]}
    assert app.main(["calibrate", *FEW, *arguments, "-o", str(path)]) == 0
    shown = capsys.readouterr()
    assert "blocks.1.mlp" in shown.out
    assert "above the optimum" in " ".join(shown.err.split())


def test_the_preset_shows_its_choice(tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--method", "ptq4vit_plus", "-O", "n=3", "-O", "rounds=1", "-O", "epochs=1"]
    assert app.main(["calibrate", *FEW, *arguments, "-o", str(tmp_path / "m.safetensors")]) == 0
    assert "weight_rounding=bit_split" in capsys.readouterr().out


def test_no_state_is_left(tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, tmp_path / "m.safetensors", "--method", "percentile", "--state", str(tmp_path / "state"))
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]


def test_help_names_every_method(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert app.main(["calibrate", "--help"]) == 0
    told = capsys.readouterr().out
    assert all(method in told for method in METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_options_are_listed(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["calibrate", "--method", method, "-O", "help", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"paradigm", "bias_correction"} <= listed.keys()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "easyqant"], "easyquant"),
        (["--method", "base_ptq", "--variant", "released"], "'paper'"),
        (["--variant", "relesed"], "released"),
        (["--paradigm", "sequental"], "sequential"),
        (["-O", "bias_corection=true"], "bias_correction"),
        (["-O", "n=many"], "an integer"),
        (["--method", "base_ptq", "-O", "n=99999999999999999999"], "legal is 1 to 10000:"),
        (["--seed", "-1"], "'--seed'"),
        (["--seed", "4294967296"], "4294967295"),
        (["-O", "softmax_twin=maybe"], "true or false"),
        (["--mixed-precision", "nuclear"], "nuclear_norm"),
        (["--mixed-precision", "hessian", "-M", "solvr=milp"], "solver"),
        (["--mixed-precision", "hessian", "-M", "probes=many"], "32"),
        (["--mixed-precision", "hessian", "-M", "widths=4"], "list of integers"),
        (["--mixed-precision", "hessian", "-M", "model_size=small"], "model_size"),
        (["--mixed-precision", "hessian", "--model-size", "-1"], "above 0"),
        (["--mixed-precision", "hessian", "--a-bits", "5"], "same width for both"),
        (["--model-size", "3"], "add --mixed-precision"),
        (["-M", "solver=milp"], "add --mixed-precision"),
    ],
)
def test_wrong_input_is_one_line(
    tiny: None, arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["calibrate", *FEW, "-o", str(tmp_path / "m.safetensors"), *arguments]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_a_file_to_write_nothing_begins(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["calibrate"]) == 2
    assert "name one with -o" in capsys.readouterr().err


def test_a_folder_in_the_place_of_the_file_is_found_before_the_work(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ptq, "calibrate", None)  # never called
    (tmp_path / "ck").mkdir()
    assert app.main(["calibrate", *FEW, "-o", str(tmp_path / "ck")]) == 2
    assert f"-o {tmp_path / 'ck'} is a folder; legal is the name of a file" in capsys.readouterr().err
    assert list(tmp_path.rglob("*")) == [tmp_path / "ck"]


def test_a_full_disk_leaves_the_old_file_and_the_finished_layers(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"before")
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target == path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        assert app.main(["calibrate", *FEW, "--method", "percentile", "-o", str(path)]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"ptqsim calibrate: No space left on device: {path}"
    assert path.read_bytes() == b"before"
    assert {file.name for file in tmp_path.iterdir()} == {"m.safetensors", "m.safetensors.state"}
    assert len(ptq.LayerCache(tmp_path / "m.safetensors.state")) == len(ptq.QuantizedModel(tiny_vit()).layers)


def test_the_mode_of_a_checkpoint_is_that_of_the_umask(
    tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = os.umask(0o022)
    try:
        run(capsys, tmp_path / "m.safetensors", "--method", "percentile")
    finally:
        os.umask(before)
    assert (tmp_path / "m.safetensors").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fit-accumulator", "16,tile=x"], "--fit-accumulator 16,tile=x: unknown option 'tile'; legal are 'order'"),
        (["--fit-accumulator", "16,order=x"], "--fit-accumulator 16,order=x: unknown order 'x'"),
        (["--fit-accumulator", "wide"], "'wide' is no width in bits"),
        (["-O", "n"], "-O 'n' can't be read; legal is NAME=VALUE: try -O gradient=sampled"),
        (["-M", "solver"], "-M 'solver' can't be read; legal is NAME=VALUE: try -M solver=milp"),
        (["-O", "n=4", "-O", "n=5"], "-O has n twice: give it once"),
        (["--fit", "project"], "--fit project was given without an accumulator to fit: add --fit-accumulator 16"),
        (["--residual-bits", "12"], "--residual-bits is an option of integer-only networks: add --integer-only"),
        (["--softmax", "shiftmax"], "--softmax is an option of integer-only networks"),
    ],
)
def test_options_that_need_another(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["calibrate", *arguments, "-o", str(tmp_path / "m.safetensors")]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
