"""An interrupted calibration: nothing that was finished is lost, and the end is the same to the bit."""

from __future__ import annotations

import copy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ptqsim import ptq
from ptqsim.cli.framework.app import main
from ptqsim.ptq.calibration import layerwise
from ptqsim.ptq.calibration.layer import LayerResult

ARGUMENTS = ["calibrate", "--w-bits", "4", "--a-bits", "4", "--images", "4", "-O", "n=40", "-O", "rounds=1"]


class Counted(Exception):  # noqa: N818 - an interruption
    pass


def calibrate(model: nn.Module, images: torch.Tensor, state: Path | None, **options: object) -> ptq.QuantizedModel:
    options = {"w_bits": 4, "a_bits": 4, "method": "bit_split", "n": 6, "bias_correction": True} | options
    return ptq.calibrate(model, images, state=state, **options)  # type: ignore[arg-type]


def same(one: ptq.QuantizedModel, other: ptq.QuantizedModel, images: torch.Tensor, tmp_path: Path) -> bool:
    """Equal to the last byte of what is written."""
    for number, model in enumerate((one, other)):
        model.save(tmp_path / f"{number}.safetensors")
    return (tmp_path / "0.safetensors").read_bytes() == (tmp_path / "1.safetensors").read_bytes()


@pytest.mark.parametrize("paradigm", ["parallel", "sequential"])
def test_finished_layers_are_not_done_again(
    model: nn.Module, images: torch.Tensor, paradigm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = calibrate(model, images, None, paradigm=paradigm)
    done: list[str] = []
    right = layerwise.calibrate_layer

    def count(op, *args: object) -> LayerResult:  # type: ignore[no-untyped-def]
        if len(done) >= 7:
            raise Counted
        result = right(op, *args)  # type: ignore[arg-type]
        done.append(op.name)
        return result

    monkeypatch.setattr(layerwise, "calibrate_layer", count)
    with pytest.raises(Counted):
        calibrate(model, images, tmp_path / "state", paradigm=paradigm)
    first = list(done)
    monkeypatch.setattr(layerwise, "calibrate_layer", lambda op, *args: done.append(op.name) or right(op, *args))
    resumed = calibrate(model, images, tmp_path / "state", paradigm=paradigm)
    assert 7 <= len(first) < len(whole.layers)  # two threads may each finish one more
    assert sorted(done) == sorted(whole.layers)  # each once
    assert same(whole, resumed, images, tmp_path)


def test_only_what_agrees_in_everything_is_shared(model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    def grown(**options: object) -> int:
        before = len(list(tmp_path.glob("*.safetensors")))
        seen = options.pop("images", images[:2])
        network = options.pop("network", model)
        chosen = {"method": "percentile", "w_bits": 4, "a_bits": 4} | options
        ptq.calibrate(network, seen, state=tmp_path, **chosen)  # type: ignore[arg-type]
        return len(list(tmp_path.glob("*.safetensors"))) - before

    layers = len(ptq.QuantizedModel(model).layers)
    assert grown() == layers
    assert grown() == 0
    for change in (
        {"seed": 1},
        {"w_bits": 5},
        {"a_percentile": 99.0},
        {"images": images[:3]},
        {"method": "base_ptq", "n": 2},
    ):
        assert grown(**change) == layers, change  # type: ignore[arg-type]
    assert grown(network=with_another_head(model)) == layers
    assert grown(paradigm="sequential") == layers


# Pairs of methods, and the operations that tell them apart.
ABLATIONS = {
    "softmax_twin": ("ptq4vit", {}, {"softmax_twin": False}, {"matmul_pv"}),
    "gelu_twin": ("ptq4vit", {}, {"gelu_twin": False}, {"fc2"}),
    "gelu_pair": ("ptq4vit", {}, {"gelu_pair": "covering"}, {"fc2"}),
    "ranking": ("liu2021", {}, {"ranking": False}, {"matmul_qk"}),
    "theta": ("liu2021", {}, {"theta": 0.4}, {"matmul_qk"}),
    "bias": ("liu2021", {}, {"bias_correction": False}, {"proj", "qkv", "fc1", "fc2", "head"}),
    "training": ("reconstruct", {"iterations": 1, "batch": 2}, {"drop": 0.0, "scale_rate": 0.01}, set()),
}


@pytest.mark.filterwarnings("ignore:.* parts have more weights to be rounded")
@pytest.mark.parametrize("name", ABLATIONS)
def test_ablations_share_the_layers_that_they_do_not_touch(
    name: str, model: nn.Module, images: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers from the cache are those that a calibration of its own finds, to the last byte of a file."""
    method, options, change, touched = ABLATIONS[name]
    given: dict[str, Any] = {
        "method": method,
        "n": 6,
        "rounds": 2,
        "paradigm": "parallel",
        "bias_correction": True,
    } | options
    own = calibrate(model, images, None, **given | change)
    calibrate(model, images, tmp_path / "state", **given)
    done: list[str] = []
    right = layerwise.calibrate_layer
    monkeypatch.setattr(layerwise, "calibrate_layer", lambda op, *args: done.append(op.name) or right(op, *args))
    shared = calibrate(model, images, tmp_path / "state", **given | change)
    assert same(shared, own, images, tmp_path)
    assert set(done) == {layer for layer in own.layers if layer.rpartition(".")[2] in touched}
    assert bool(done) == bool(touched)


def with_another_head(model: nn.Module) -> nn.Module:
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.head.weight.add_(1e-3)  # type: ignore[union-attr, operator]
    return other


def test_a_damaged_file_is_done_again(model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    whole = calibrate(model, images, tmp_path / "state")
    files = sorted((tmp_path / "state").glob("*.safetensors"))
    files[0].write_bytes(files[0].read_bytes()[:-5])
    files[1].write_text("nothing")
    files[2].unlink()
    flipped = bytearray(files[3].read_bytes())
    flipped[-1] ^= 1
    files[3].write_bytes(flipped)
    assert same(whole, calibrate(model, images, tmp_path / "state"), images, tmp_path)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    output = tmp_path_factory.mktemp("whole") / "m.safetensors"
    assert main([*ARGUMENTS, "-o", str(output)]) == 0
    return output.read_bytes()


def interrupted(end: signal.Signals, folder: Path) -> tuple[int, str]:
    """Status and stderr of a calibration that was sent a signal when it had finished a layer."""
    command = [sys.executable, "-m", "ptqsim.cli", *ARGUMENTS]
    process = subprocess.Popen([*command, "-o", str(folder / "m.safetensors")], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None and not list(folder.glob("*.state/*.safetensors")):
        time.sleep(0.002)
    process.send_signal(end)
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_real_process_ended_by_a_real_signal(end: signal.Signals, tmp_path: Path, uninterrupted: bytes) -> None:
    for attempt in range(5):  # on a busy machine the process may be done before the signal gets there
        folder = tmp_path / str(attempt)
        folder.mkdir()
        status, errors = interrupted(end, folder)
        if status != 0:
            break
    output, state = folder / "m.safetensors", folder / "m.safetensors.state"
    kept = len(list(state.glob("*.safetensors")))
    assert status == (130 if end is signal.SIGINT else -signal.SIGKILL), errors
    assert 1 <= kept <= 38
    if end is signal.SIGINT:
        assert f"{kept} layers are kept in {state}: the same command goes on from them" in " ".join(errors.split())
        assert "Traceback" not in errors
    assert not output.exists()
    assert main([*ARGUMENTS, "-o", str(output)]) == 0
    assert not state.exists()
    assert output.read_bytes() == uninterrupted


def test_only_its_own_files_are_removed(model: nn.Module, images: torch.Tensor, tmp_path: Path) -> None:
    state = tmp_path / "state"
    ptq.calibrate(model, images[:2], method="percentile", state=state)
    kept = ptq.LayerCache(state)
    assert len(kept) == len(ptq.QuantizedModel(model).layers)
    (state / f".{next(state.iterdir()).name}.1234-0123abcd.partial").write_text("left by a process that was killed")
    for name in ("notes.txt", "m.safetensors"):
        (state / name).write_text("someone else's")
    kept.remove()
    assert sorted(file.name for file in state.iterdir()) == ["m.safetensors", "notes.txt"]
    for file in state.iterdir():
        file.unlink()
    kept.remove()
    assert not state.exists()
    kept.remove()
