"""PyTorch checkpoints made into safetensors files."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ptqsim import ptq
from ptqsim.cli.framework import app
from ptqsim.errors import ToolTimeoutError
from ptqsim.ptq.zoo.conversion import fences, reader
from ptqsim.ptq.zoo.conversion.contents import Refusal, choose, dictionaries, renamed


class NoFence:
    """In this process no hook is added, which could not be removed."""

    met = ""

    @contextmanager
    def closed(self) -> Iterator[None]:
        yield


def read(*sources: Path, output: Path | None = None, **options: Any) -> dict[str, Any]:
    """The answer of the reading process, made in this one from files that the tests wrote."""
    reader._allow_harmless()
    request = {"key": None, "ema": False, "prefix": None, "strip": True} | options
    place = None if output is None else str(output)
    return reader.converted({"sources": list(map(str, sources)), "output": place} | request, NoFence())  # type: ignore[arg-type]


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = {f"blocks.{i}.weight": torch.randn(3, 4, generator=generator) for i in range(2)}
    made["tied"] = made["blocks.0.weight"]
    made["slice"] = made["blocks.1.weight"][1:]
    made["turned"] = torch.randn(4, 6, generator=generator).T
    made["half"], made["brain"] = (torch.randn(5, generator=generator).to(t) for t in (torch.float16, torch.bfloat16))
    made["count"], made["none"] = torch.tensor(7), torch.zeros(0, 3)
    return made


class Runs:
    """A pickle of it runs a command of the shell."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def test_tensors_keep_names_values_and_types(tmp_path: Path) -> None:
    source, output = tmp_path / "w.pth", tmp_path / "w.safetensors"
    torch.save({"state_dict": {f"module.model.{k}": v for k, v in weights().items()}, "epoch": 3}, source)
    answer = read(source, output=output)
    found = load_file(output)
    assert found.keys() == weights().keys()
    for name, tensor in weights().items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert torch.equal(found[name], tensor)
    assert answer["prefixes"] == ["module.", "model."]
    assert {frozenset(names) for names in answer["shared"]} == {
        frozenset({"blocks.0.weight", "tied"}),
        frozenset({"blocks.1.weight", "slice"}),
    }
    assert answer["left_out"] == {"epoch": "int 3"}
    with safe_open(output, "pt") as file:
        about = json.loads(file.metadata()["ptqsim.convert"])
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert about == {
        "sources": [{"name": "w.pth", "sha256": digest}],
        "key": "state_dict",
        "prefixes": ["module.", "model."],
    }


def test_what_training_scripts_keep_beside_weights_is_read_and_left_out(tmp_path: Path) -> None:
    kept = {"args": argparse.Namespace(lr=0.1, out=Path("/x")), "best": np.float64(0.5), "epoch": 3, 5: "five"}
    optimizer = {"state": {0: {"exp_avg": torch.ones(2)}}}
    torch.save({"model": {"a": torch.ones(2), "note": "x"}, "optimizer": optimizer, **kept}, tmp_path / "w.pth")
    answer = read(tmp_path / "w.pth")
    assert answer["tensors"] == {"a": ["float32", [2]]}
    assert answer["left_out"].keys() == {"model.note", "optimizer", "args", "best", "epoch", "5"}


def test_the_older_format_is_read(tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    read(tmp_path / "w.pth", output=tmp_path / "w.safetensors")
    found = load_file(tmp_path / "w.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in weights().items())


def test_averaged_weights_and_keys_are_chosen(tmp_path: Path) -> None:
    ones, twos, threes = ({"a": torch.full((2,), value)} for value in (1.0, 2.0, 3.0))
    torch.save({"model": ones, "model_ema": {"module": twos}, "teacher": threes}, tmp_path / "w.pth")
    for options, value in (
        ({}, 1.0),
        ({"ema": True}, 2.0),
        ({"key": "teacher"}, 3.0),
        ({"key": "model_ema.module"}, 2),
    ):
        read(tmp_path / "w.pth", output=tmp_path / "w.safetensors", **options)
        assert load_file(tmp_path / "w.safetensors")["a"].tolist() == [value, value]


def is_one(value: object) -> bool:
    return value == 1


@pytest.mark.parametrize(
    ("root", "key", "averaged", "chosen"),
    [
        ({"a": 1}, None, False, ""),
        ({"step": 1, "state_dict": {"a": 1}}, None, False, "state_dict"),
        ({"net": {"state_dict": {"a": 1}}}, None, False, "net.state_dict"),
        ({"weird": {"a": 1}}, None, False, "weird"),
        ({"weird": {"a": 1}, "ema": {"a": 1}}, None, False, "weird"),
        ({"weird": {"a": 1}, "ema": {"a": 1}}, None, True, "ema"),
        ({"student": {"a": 1}, "teacher": {"a": 1}}, "teacher", False, "teacher"),
    ],
)
def test_the_dictionary_that_is_taken(root: dict[str, Any], key: str | None, averaged: bool, chosen: str) -> None:
    assert choose(dictionaries(root, is_one), key, averaged) == chosen


@pytest.mark.parametrize(
    ("root", "key", "averaged", "words"),
    [
        ({"student": {"a": 1}, "teacher": {"a": 1}}, None, False, "name one of 'student', 'teacher' by --key"),
        ({"model": {"a": 1}}, None, True, "no averaged weights .* are 'model'"),
        ({"model": {"a": 1}}, "modle", False, "no dictionary of tensors under the key 'modle'; .* are 'model'"),
        ([1, 1], None, False, "holds no dictionary of tensors"),
        (1, None, False, "holds no dictionary of tensors"),
        ({"model": {"a": 2}}, None, False, "holds no dictionary of tensors"),
    ],
)
def test_dictionaries_that_nothing_tells_apart(root: object, key: str | None, averaged: bool, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        choose(dictionaries(root, is_one), key, averaged)


def test_a_dictionary_within_itself_ends() -> None:
    root: dict[str, Any] = {"a": 1}
    root["b"] = root
    assert "" in dictionaries(root, is_one)


@pytest.mark.parametrize(
    ("names", "prefix", "strip", "new", "taken"),
    [
        (["module.a", "module.b"], None, True, ["a", "b"], ["module."]),
        (["module._orig_mod.backbone.a"], None, True, ["a"], ["module.", "_orig_mod.", "backbone."]),
        (["module.a", "head.b"], None, True, ["module.a", "head.b"], []),
        (["module.a"], None, False, ["module.a"], []),
        (["module."], None, True, ["module."], []),
        (["backbone.a", "backbone.module.b", "head.c"], "backbone", True, ["a", "module.b"], ["backbone."]),
        (["encoder.module.a", "decoder.module.b"], "encoder.", True, ["a"], ["encoder.", "module."]),
    ],
)
def test_prefixes_are_taken_off_where_all_names_have_them(
    names: list[str], prefix: str | None, strip: bool, new: list[str], taken: list[str]
) -> None:
    found, removed = renamed(names, prefix, strip)
    assert (list(found.values()), removed) == (new, taken)


def test_a_prefix_that_no_name_has() -> None:
    with pytest.raises(Refusal, match=r"no tensor whose name begins with 'x\.'"):
        renamed(["a.b"], "x", True)


@pytest.mark.parametrize("old", [False, True])
def test_a_truncated_file_is_refused(tmp_path: Path, old: bool) -> None:
    torch.save(weights(), tmp_path / "w.pth", _use_new_zipfile_serialization=not old)
    whole = (tmp_path / "w.pth").read_bytes()
    for length in (2, 20, len(whole) // 2, len(whole) - 3):
        (tmp_path / "cut.pth").write_bytes(whole[:length])
        with pytest.raises(Refusal, match="may be truncated"):
            read(tmp_path / "cut.pth")


def test_a_flipped_bit_of_a_weight_is_found(tmp_path: Path) -> None:
    torch.save({"a": torch.full((1000,), 1.5)}, tmp_path / "w.pth")
    whole = bytearray((tmp_path / "w.pth").read_bytes())
    whole[whole.index(np.full(4, 1.5, np.float32).tobytes()) + 5] ^= 1
    (tmp_path / "w.pth").write_bytes(whole)
    with pytest.raises(Refusal, match=r"damaged record '.*data/0' \(its checksum differs\)"):
        read(tmp_path / "w.pth")


@pytest.mark.parametrize("first", [b"PK\x03\x04", b"\x80\x02", b"\x80\x02}q\x00."])
def test_a_huge_file_of_nothing_is_refused_unread(tmp_path: Path, first: bytes) -> None:
    with (tmp_path / "w.pth").open("wb") as file:
        file.write(first)
        file.truncate(2**40)
    with pytest.raises(Refusal):
        read(tmp_path / "w.pth")


def test_tensors_that_repeat_a_value_endlessly_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1).expand(10**12)}, tmp_path / "w.pth")
    with pytest.raises(Refusal, match="much more bytes than the file"):
        read(tmp_path / "w.pth")


def test_tensors_that_safetensors_has_not_are_named(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2, 2).to_sparse()}, tmp_path / "w.pth")
    with pytest.raises(Refusal, match="tensor 'a' that is sparse"):
        read(tmp_path / "w.pth")


def test_code_in_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process as users have it, with the switch of torch that would let pickles run."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    marker, source = tmp_path / "marker", tmp_path / "w.pth"
    torch.save({"state_dict": weights(), "more": Runs(marker)}, source)
    with pytest.raises(ValueError, match=r"w\.pth would have to run \w+\.system to be unpickled, and was not") as told:
        ptq.convert(source, tmp_path / "w.safetensors")
    assert "\n" not in str(told.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.pth"]
    torch.load(source, weights_only=False)  # the file is what the test takes it for
    assert marker.exists()


def test_code_in_a_plain_pickle_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(pickle.dumps(Runs(tmp_path / "marker"), protocol=2))
    with pytest.raises(Refusal, match="would have to run"):
        read(tmp_path / "w.bin")
    assert not (tmp_path / "marker").exists()


def test_a_script_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("w/data.pkl", b"\x80\x02}.")
        archive.writestr("w/code/__torch__.py", "")
    with pytest.raises(Refusal, match="TorchScript archive, which holds code"):
        read(tmp_path / "w.pt")


def test_compressed_records_are_refused(tmp_path: Path) -> None:
    """torch would take their bytes for values."""
    torch.save({"a": torch.zeros(1000)}, tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.pth") as whole, zipfile.ZipFile(tmp_path / "x.pth", "w", 8) as packed:
        for item in whole.infolist():
            packed.writestr(item.filename, whole.read(item))
    with pytest.raises(Refusal, match=r"compressed, which torch\.save never does"):
        read(tmp_path / "x.pth")


def test_a_whole_module_is_refused_by_its_class(tmp_path: Path) -> None:
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


def test_a_reading_that_takes_too_long_leaves_nothing(tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "w.pth")
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


def test_files_of_an_index_become_one(tmp_path: Path) -> None:
    parts = {"pytorch_model-1.bin": {"a": torch.ones(2)}, "pytorch_model-2.bin": {"b": torch.zeros(3)}}
    for name, tensors in parts.items():
        torch.save(tensors, tmp_path / name)
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}}))
    made = ptq.convert(index, tmp_path / "folder" / "w.safetensors")
    assert load_file(tmp_path / "folder" / "w.safetensors").keys() == {"a", "b"} == made.tensors.keys()
    assert [source["name"] for source in made.sources] == list(parts)
    with pytest.raises(Refusal, match="tensor 'a' in two of its files"):
        read(tmp_path / "pytorch_model-1.bin", tmp_path / "pytorch_model-1.bin")
    with pytest.raises(ValueError, match=r"index of pickles.*ptqsim convert"):
        ptq.load_model("vit_digits", checkpoint=index)
    (tmp_path / "pytorch_model-2.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"pytorch_model-2\.bin"):
        ptq.convert(index)


def test_a_converted_checkpoint_is_the_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the command line: what a trainer saved of a bundled network, and the network of the converted file."""
    torch.manual_seed(0)
    original = ptq.BUNDLED["vit_digits"].build(num_classes=5)
    state = {f"_orig_mod.{name}": tensor for name, tensor in original.state_dict().items()}
    torch.save({"model": state, "epoch": 1}, tmp_path / "w.pth")
    assert app.main(["convert", str(tmp_path / "w.pth"), "-o", str(tmp_path / "w.safetensors"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["left_out"] == {"epoch": "int 1"}
    assert told["network"] in ("namespace", "guard")
    network = ptq.load_model("vit_digits", checkpoint=tmp_path / "w.safetensors")
    assert all(torch.equal(tensor, original.state_dict()[name]) for name, tensor in network.state_dict().items())


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
