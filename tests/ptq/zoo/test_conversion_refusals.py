"""PyTorch checkpoints that are refused: nothing in them runs, and nothing is left behind."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.errors import ToolTimeoutError
from ptqsim.ptq.zoo.conversion import fences
from ptqsim.ptq.zoo.conversion.contents import Refusal

Read = Callable[..., dict[str, Any]]
Weights = dict[str, torch.Tensor]


class Runs:
    """A pickle of it runs a command of the shell."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("old", [False, True])
def test_a_truncated_file_is_refused(tmp_path: Path, old: bool, read: Read, weights: Weights) -> None:
    torch.save(weights, tmp_path / "w.pth", _use_new_zipfile_serialization=not old)
    whole = (tmp_path / "w.pth").read_bytes()
    for length in (2, 20, len(whole) // 2, len(whole) - 3):
        (tmp_path / "cut.pth").write_bytes(whole[:length])
        with pytest.raises(Refusal, match="may be truncated"):
            read(tmp_path / "cut.pth")


def test_a_flipped_bit_of_a_weight_is_found(tmp_path: Path, read: Read) -> None:
    torch.save({"a": torch.full((1000,), 1.5)}, tmp_path / "w.pth")
    whole = bytearray((tmp_path / "w.pth").read_bytes())
    whole[whole.index(np.full(4, 1.5, np.float32).tobytes()) + 5] ^= 1
    (tmp_path / "w.pth").write_bytes(whole)
    with pytest.raises(Refusal, match=r"damaged record '.*data/0' \(its checksum differs\)"):
        read(tmp_path / "w.pth")


@pytest.mark.parametrize("first", [b"PK\x03\x04", b"\x80\x02", b"\x80\x02}q\x00."])
def test_a_huge_file_of_nothing_is_refused_unread(tmp_path: Path, first: bytes, read: Read) -> None:
    with (tmp_path / "w.pth").open("wb") as file:
        file.write(first)
        file.truncate(2**40)
    with pytest.raises(Refusal):
        read(tmp_path / "w.pth")


def test_tensors_that_repeat_a_value_endlessly_are_refused(tmp_path: Path, read: Read) -> None:
    torch.save({"a": torch.ones(1).expand(10**12)}, tmp_path / "w.pth")
    with pytest.raises(Refusal, match="much more bytes than the file"):
        read(tmp_path / "w.pth")


def test_tensors_that_safetensors_has_not_are_named(tmp_path: Path, read: Read) -> None:
    torch.save({"a": torch.ones(2, 2).to_sparse()}, tmp_path / "w.pth")
    with pytest.raises(Refusal, match="tensor 'a' that is sparse"):
        read(tmp_path / "w.pth")


def test_code_in_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Weights) -> None:
    """In a process as users have it, with the switch of torch that would let pickles run."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    marker, source = tmp_path / "marker", tmp_path / "w.pth"
    torch.save({"state_dict": weights, "more": Runs(marker)}, source)
    with pytest.raises(ValueError, match=r"w\.pth would have to run \w+\.system to be unpickled, and was not") as told:
        ptq.convert(source, tmp_path / "w.safetensors")
    assert "\n" not in str(told.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.pth"]
    torch.load(source, weights_only=False)  # the file is what the test takes it for
    assert marker.exists()


def test_code_in_a_plain_pickle_is_not_run(tmp_path: Path, read: Read) -> None:
    (tmp_path / "w.bin").write_bytes(pickle.dumps(Runs(tmp_path / "marker"), protocol=2))
    with pytest.raises(Refusal, match="would have to run"):
        read(tmp_path / "w.bin")
    assert not (tmp_path / "marker").exists()


def test_a_script_is_refused(tmp_path: Path, read: Read) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("w/data.pkl", b"\x80\x02}.")
        archive.writestr("w/code/__torch__.py", "")
    with pytest.raises(Refusal, match="TorchScript archive, which holds code"):
        read(tmp_path / "w.pt")


def test_compressed_records_are_refused(tmp_path: Path, read: Read) -> None:
    """torch would take their bytes for values."""
    torch.save({"a": torch.zeros(1000)}, tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.pth") as whole, zipfile.ZipFile(tmp_path / "x.pth", "w", 8) as packed:
        for item in whole.infolist():
            packed.writestr(item.filename, whole.read(item))
    with pytest.raises(Refusal, match=r"compressed, which torch\.save never does"):
        read(tmp_path / "x.pth")


def test_a_whole_module_is_refused_by_its_class(tmp_path: Path, read: Read) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pt")
    with pytest.raises(Refusal, match=r"would have to run torch\.nn\.modules\.linear\.Linear"):
        read(tmp_path / "w.pt")


def test_the_fences_keep_a_process_from_the_network_and_from_files(tmp_path: Path) -> None:
    script = f"""
import sys, socket, os
sys.path.insert(0, {str(Path(fences.__file__).parent)!r})
import fences
network = fences.leave_network()
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2).close()
    print(network, "connected")
except OSError:
    print(network, "alone")
fence = fences.Fence()
for forbidden in (socket.socket, lambda: os.system("true"), lambda: open({str(tmp_path / "x")!r}, "w"), os.fork):
    with fence.closed():
        try:
            forbidden()
            print("done")
        except PermissionError:
            print("stopped")
print(fence.met)
fences.bound_memory(2**20)
try:
    bytearray(2**28)
except MemoryError:
    print("bounded")
"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-I", "-c", script, str(port)], capture_output=True, text=True, check=True
        )
    network, *others = done.stdout.splitlines()
    assert network in ("namespace alone", "guard connected")
    assert others == ["stopped"] * 4 + ["socket.__new__", "bounded"]
    assert not (tmp_path / "x").exists()


def test_a_reading_that_takes_too_long_leaves_nothing(tmp_path: Path, weights: Weights) -> None:
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(ToolTimeoutError, match=r"was given up after 0\.05 s"):
        ptq.convert(tmp_path / "w.pth", tmp_path / "w.safetensors", timeout=0.05)
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "empty.pth").touch()
    save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors")
    os.mkfifo(tmp_path / "pipe.pth")
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pth")
    for name, kind, words in (
        ("text.pth", ValueError, "begins with neither a zip archive nor a pickle"),
        ("empty.pth", ValueError, "is empty"),
        ("w.safetensors", ValueError, "is a safetensors file already"),
        ("pipe.pth", ValueError, "is a device, a pipe or a socket"),
        ("none.pth", FileNotFoundError, "there is no checkpoint at"),
        (".", IsADirectoryError, "is a folder"),
    ):
        with pytest.raises(kind, match=words):
            ptq.convert(tmp_path / name)
    with pytest.raises(ValueError, match="is the checkpoint itself"):
        ptq.convert(tmp_path / "w.pth", tmp_path / "w.pth")
    with pytest.raises(ValueError, match="both a key and averaged"):
        ptq.convert(tmp_path / "w.pth", key="a", ema=True)
    for timeout in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="legal is a number of seconds above 0"):
            ptq.convert(tmp_path / "w.pth", timeout=timeout)
    with pytest.raises(TypeError, match="legal is a number of seconds above 0"):
        ptq.convert(tmp_path / "w.pth", timeout="1")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.bin", "w.safetensors"])
def test_pickles_in_place_of_weights_name_the_command(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / name)
    with pytest.raises(ValueError, match=rf"is not unpickled: make .*\(ptqsim convert .*{name}"):
        ptq.load_model("vit_digits", checkpoint=tmp_path / name)
    with pytest.raises(ValueError, match="ptqsim convert"):
        ptq.load_with_model(tmp_path / name)
    assert app.main(["evaluate", "--checkpoint", str(tmp_path / name)]) == 2
    assert "ptqsim convert" in capsys.readouterr().err
